//! The server that statements are written for, and what had to be said to suit it.
//!
//! Rendering asks here what the target knows. An object for which nothing was asked is written the
//! same way for every server; the others are written once more for each other major, and where
//! that differs it is kept as a [`Form`].

use std::cell::{Cell, RefCell};

use crate::error::Result;
use crate::sql::ServerVersion;

use super::rendered::{Form, Rendered};

/// The majors that a rendering asked about, a bit each. Where two majors give the same answers to all
/// that was asked, they get the same statements, so that one of them need not be rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked(u128);

impl Asked {
    fn with(self, major: u32) -> Self {
        Self(self.0 | 1 << major.min(u128::BITS - 1))
    }

    /// Whether nothing was asked that tells one from the other.
    fn answers_alike(self, one: u32, other: u32) -> bool {
        let (low, high) = (one.min(other), one.max(other));
        (low + 1..=high).all(|major| self.0 & 1 << major.min(u128::BITS - 1) == 0)
    }
}

/// Who is to run the statements. Begins as the source's own version.
#[derive(Debug)]
pub struct Target {
    source: ServerVersion,
    version: Cell<ServerVersion>,
    asked: Cell<Asked>,
    notes: RefCell<Vec<String>>,
    impossible: RefCell<Vec<String>>,
}

impl Target {
    /// The source itself.
    pub const fn new(source: ServerVersion) -> Self {
        Self {
            source,
            version: Cell::new(source),
            asked: Cell::new(Asked(0)),
            notes: RefCell::new(Vec::new()),
            impossible: RefCell::new(Vec::new()),
        }
    }

    /// Where the model was read.
    pub const fn source(&self) -> ServerVersion {
        self.source
    }

    /// Whether the target is `major` or newer.
    pub fn at_least(&self, major: u32) -> bool {
        self.asked.set(self.asked.get().with(major));
        self.version.get().at_least(major)
    }

    /// Says what is lost, or is another way than on the source. General words: a report gathers
    /// the objects that have the same note.
    pub fn note(&self, text: impl Into<String>) {
        push(&self.notes, text.into());
    }

    /// Says what the target does not know, so that the object cannot be made there.
    pub fn impossible(&self, what: impl Into<String>) {
        push(&self.impossible, what.into());
    }

    /// Says that the object cannot be made before `major`, where `has` it what that major brought.
    pub fn needs(&self, has: bool, major: u32, what: &str) {
        if has && !self.at_least(major) {
            self.impossible(what);
        }
    }

    /// Renders for the source, and for one of the other majors of each sort that the rendering tells
    /// apart.
    ///
    /// # Errors
    /// Those of `render`.
    pub fn with_forms(&self, render: impl Fn() -> Result<Rendered>) -> Result<Rendered> {
        self.begin(self.source);
        let mut own = render()?;
        let asked_of_own = self.asked.get();
        if asked_of_own == Asked(0) {
            return Ok(own);
        }
        // What is so on the source too is no news.
        let known = self.notes.take();
        let mut forms: Vec<Form> = Vec::new();
        // The major that was rendered last: what it asked for, and whether it has a form.
        let mut last: Option<(u32, Asked, bool)> = None;
        for major in ServerVersion::OLDEST_MAJOR..=ServerVersion::NEWEST_MAJOR {
            if asked_of_own.answers_alike(major, self.source.major()) {
                last = None;
                continue;
            }
            if let Some((before, asked, has_form)) = last
                && asked.answers_alike(before, major)
            {
                if let Some(form) = forms.last_mut().filter(|_| has_form) {
                    form.before = Some(major + 1);
                }
                continue;
            }
            self.begin(ServerVersion::from_num(major * 10_000));
            let other = render()?;
            let (mut notes, impossible) = (self.notes.take(), self.impossible.take());
            notes.retain(|note| !known.contains(note));
            let form = Form::between(&own, other, major, notes, impossible);
            last = Some((major, self.asked.get(), form.is_some()));
            let Some(form) = form else { continue };
            match forms.last_mut() {
                Some(last) if last.continues_with(&form) => last.before = form.before,
                _ => forms.push(form),
            }
        }
        self.begin(self.source);
        for form in &mut forms {
            form.open_ends(self.source.major());
        }
        own.forms = forms;
        Ok(own)
    }

    fn begin(&self, version: ServerVersion) {
        self.version.set(version);
        self.asked.set(Asked(0));
        self.notes.take();
        self.impossible.take();
    }
}

fn push(list: &RefCell<Vec<String>>, text: String) {
    let mut list = list.borrow_mut();
    if !list.contains(&text) {
        list.push(text);
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;
    use crate::graph::Node;
    use crate::model::{Address, Class};

    fn blank() -> Rendered {
        let node = Node::Object(Address::new(Class::Relation, 1));
        Rendered::named(node, "TABLE", None, String::from("t"))
    }

    fn target(major: u32) -> Target {
        Target::new(ServerVersion::from_num(major * 10_000 + 3))
    }

    fn ranges(rendered: &Rendered) -> Vec<(Option<u32>, Option<u32>)> {
        let ranges = rendered.forms.iter().map(|form| (form.since, form.before));
        ranges.collect()
    }

    #[test]
    fn without_a_question_there_are_no_forms() {
        let target = target(18);
        let rendered = target.with_forms(|| Ok(blank())).unwrap();
        assert_eq!(ranges(&rendered), []);
    }

    /// What each major gets: two words where it is 17 or newer, a refusal before 14.
    fn with_rules(target: &Target) -> Rendered {
        target
            .with_forms(|| {
                let mut rendered = blank();
                rendered.create.push(String::from("CREATE"));
                target.needs(true, 14, "something of 14");
                if target.at_least(17) {
                    rendered.privileges.push(String::from("GRANT"));
                } else {
                    target.note("no grant");
                }
                Ok(rendered)
            })
            .unwrap()
    }

    #[test]
    fn neighbours_that_are_alike_share_a_form() {
        let rendered = with_rules(&target(17));
        assert_eq!(ranges(&rendered), [(None, Some(14)), (Some(14), Some(17))]);
        let [impossible, older] = rendered.forms.as_slice() else {
            panic!("{:?}", rendered.forms);
        };
        assert_eq!(impossible.impossible.as_deref(), Some("something of 14"));
        assert_eq!(impossible.privileges, None);
        assert_eq!(older.impossible, None);
        assert_eq!(older.create, None);
        assert_eq!(older.privileges, Some(Vec::new()));
        assert_eq!(older.notes, ["no grant"]);

        let rendered = with_rules(&target(15));
        assert_eq!(ranges(&rendered), [(None, Some(14)), (Some(17), None)]);
    }

    #[test]
    fn a_form_does_not_reach_over_the_source() {
        let render = |target: &Target| {
            let own = target.source().major();
            let mut rendered = blank();
            if target.at_least(own) && !target.at_least(own + 1) {
                rendered.create.push(String::from("CREATE"));
            }
            Ok(rendered)
        };
        let middle = target(15);
        let rendered = middle.with_forms(|| render(&middle)).unwrap();
        assert_eq!(ranges(&rendered), [(None, Some(15)), (Some(16), None)]);
        // A server that is newer than what is known has its own form.
        let newest = target(19);
        let rendered = newest.with_forms(|| render(&newest)).unwrap();
        assert_eq!(ranges(&rendered), [(None, Some(19))]);
    }
}
