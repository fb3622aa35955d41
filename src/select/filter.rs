//! Filter files: one rule per line, as pg_dump, pg_restore and pg_dumpall read them.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use crate::error::{Error, Kind, Result};

/// What a rule does with what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Only this.
    Include,
    /// All but this.
    Exclude,
}

/// What a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A database.
    Database,
    /// An extension.
    Extension,
    /// Rows of the foreign tables of a server.
    ForeignData,
    /// A function, with its arguments' types.
    Function,
    /// An index.
    Index,
    /// A schema, with what is in it.
    Schema,
    /// A table, view, sequence or the like.
    Table,
    /// A table with its partitions and those that inherit from it.
    TableAndChildren,
    /// A table's rows.
    TableData,
    /// A table's rows, and those of its partitions and of those that inherit from it.
    TableDataAndChildren,
    /// A trigger.
    Trigger,
}

/// A rule of a filter file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The line where it begins, counted from 1.
    pub line: usize,
    /// What is done.
    pub action: Action,
    /// With what sort of object.
    pub subject: Subject,
    /// Which one. White space that does not count is gone; quotes are still there.
    pub pattern: String,
}

impl Subject {
    const ALL: [Self; 11] = [
        Self::Database,
        Self::Extension,
        Self::ForeignData,
        Self::Function,
        Self::Index,
        Self::Schema,
        Self::Table,
        Self::TableAndChildren,
        Self::TableData,
        Self::TableDataAndChildren,
        Self::Trigger,
    ];

    /// The word for it in a filter file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Extension => "extension",
            Self::ForeignData => "foreign_data",
            Self::Function => "function",
            Self::Index => "index",
            Self::Schema => "schema",
            Self::Table => "table",
            Self::TableAndChildren => "table_and_children",
            Self::TableData => "table_data",
            Self::TableDataAndChildren => "table_data_and_children",
            Self::Trigger => "trigger",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Include => "include",
            Self::Exclude => "exclude",
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Rule {
    /// Reads the rules of a filter file: `include` or `exclude`, what sort of object, and a
    /// pattern, with white space between them. The words may be in capitals. `#` begins a comment
    /// unless it is in double quotes; a name in double quotes may span lines.
    ///
    /// `source` is where the text is from, for messages.
    ///
    /// # Errors
    /// [`Kind::Usage`] with the number of the line.
    pub fn parse_all(text: &str, source: &str) -> Result<Vec<Self>> {
        let mut reader = Reader {
            rest: text.chars().peekable(),
            line: 1,
        };
        let mut rules = Vec::new();
        while reader.skip_to_rule() {
            let line = reader.line;
            let rule = reader
                .rule()
                .map_err(|problem| at(source, problem.line.unwrap_or(line), &problem.what))?;
            rules.push(Self { line, ..rule });
        }
        Ok(rules)
    }

    /// The error that this rule has no place where it was read.
    pub fn not_allowed(&self, source: &str) -> Error {
        at(
            source,
            self.line,
            &format!("{} of {} is not possible here", self.action, self.subject),
        )
    }
}

fn at(source: &str, line: usize, what: &str) -> Error {
    Error::new(Kind::Usage, format!("filter {source}, line {line}: {what}"))
}

/// What is wrong, and where if that is not the line in which the rule begins.
struct Problem {
    what: String,
    line: Option<usize>,
}

impl From<&str> for Problem {
    fn from(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            line: None,
        }
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    /// Takes the next character if it is one of these.
    fn next_if(&mut self, accept: impl FnOnce(char) -> bool) -> Option<char> {
        let taken = self.rest.next_if(|&character| accept(character));
        if taken == Some('\n') {
            self.line += 1;
        }
        taken
    }

    /// Skips empty lines and comments. Whether there is anything after them.
    fn skip_to_rule(&mut self) -> bool {
        loop {
            while self.next_if(char::is_whitespace).is_some() {}
            match self.rest.peek() {
                None => return false,
                Some('#') => while self.next_if(|character| character != '\n').is_some() {},
                Some(_) => return true,
            }
        }
    }

    /// Skips white space within the line. Whether there was any.
    fn skip_blanks(&mut self) -> bool {
        let mut any = false;
        while self.next_if(is_blank).is_some() {
            any = true;
        }
        any
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(letter) = self.next_if(|character| {
            character.is_ascii_alphabetic() || !word.is_empty() && character == '_'
        }) {
            word.push(letter.to_ascii_lowercase());
        }
        word
    }

    fn rule(&mut self) -> Result<Rule, Problem> {
        let action = match self.word().as_str() {
            "include" => Action::Include,
            "exclude" => Action::Exclude,
            "" => return Err("no command, it begins with include or exclude".into()),
            other => {
                let what = format!("unknown command \"{other}\", it is include or exclude");
                return Err(what.as_str().into());
            }
        };
        self.skip_blanks();
        let word = self.word();
        if word.is_empty() {
            return Err("the sort of object is missing".into());
        }
        let Some(subject) = Subject::ALL.into_iter().find(|s| s.as_str() == word) else {
            let what = format!("unknown sort of object \"{word}\"");
            return Err(what.as_str().into());
        };
        self.skip_blanks();
        let pattern = self.pattern()?;
        if pattern.is_empty() {
            return Err("the object's name is missing".into());
        }
        Ok(Rule {
            line: self.line,
            action,
            subject,
            pattern,
        })
    }

    /// The pattern, up to the end of the line or a comment. Runs of white space become one blank,
    /// or none around dots and within parentheses; a comma has one blank after it.
    fn pattern(&mut self) -> Result<String, Problem> {
        let mut pattern = String::new();
        let mut blank = false;
        let mut blank_counts = false;
        while let Some(character) = self.next_if(|c| c != '#' && c != '\n') {
            match character {
                _ if is_blank(character) => {
                    blank = true;
                    continue;
                }
                ',' => {
                    pattern.push_str(", ");
                    blank_counts = false;
                }
                '.' | '(' | ')' => {
                    pattern.push(character);
                    blank_counts = false;
                }
                _ => {
                    if blank && blank_counts {
                        pattern.push(' ');
                    }
                    pattern.push(character);
                    if character == '"' {
                        self.quoted(&mut pattern)?;
                    }
                    blank_counts = true;
                }
            }
            blank = false;
        }
        Ok(pattern)
    }

    /// The rest of a quoted name, its closing quote too.
    fn quoted(&mut self, pattern: &mut String) -> Result<(), Problem> {
        while let Some(character) = self.next_if(|_| true) {
            pattern.push(character);
            if character == '"' {
                if self.next_if(|next| next == '"').is_none() {
                    return Ok(());
                }
                pattern.push('"');
            }
        }
        Err(Problem {
            what: "a double quote is not closed".to_owned(),
            line: Some(self.line),
        })
    }
}

fn is_blank(character: char) -> bool {
    character != '\n' && character.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<(usize, String)> {
        let rules = Rule::parse_all(text, "f").unwrap();
        let show = |r: Rule| {
            let text = format!("{} {} {}", r.action, r.subject, r.pattern);
            (r.line, text)
        };
        rules.into_iter().map(show).collect()
    }

    fn refused(text: &str) -> String {
        let error = Rule::parse_all(text, "f").unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{text}");
        error.message().to_owned()
    }

    #[test]
    fn rules_comments_and_empty_lines() {
        assert_eq!(rules(""), []);
        assert_eq!(rules("\n  \t\n # nothing\n#"), []);
        let text = "# of a shop\ninclude table orders # all\n\n\
                    \tEXCLUDE  Table_Data   public . log*  \r\nexclude schema audit";
        assert_eq!(
            rules(text),
            [
                (2, "include table orders".to_owned()),
                (4, "exclude table_data public.log*".to_owned()),
                (5, "exclude schema audit".to_owned()),
            ]
        );
    }

    #[test]
    fn every_sort_of_object() {
        for subject in Subject::ALL {
            let text = format!("exclude {subject} x");
            assert_eq!(rules(&text), [(1, text.clone())]);
        }
    }

    #[test]
    fn quotes_keep_what_is_in_them() {
        assert_eq!(
            rules(
                "include table \"a # b\".\"c\"\"d\" # e\nexclude table \"two\nlines\"\ninclude schema s"
            ),
            [
                (1, "include table \"a # b\".\"c\"\"d\"".to_owned()),
                (2, "exclude table \"two\nlines\"".to_owned()),
                (4, "include schema s".to_owned()),
            ]
        );
        assert_eq!(
            rules("include table\"T\""),
            [(1, "include table \"T\"".to_owned())]
        );
    }

    #[test]
    fn white_space_that_does_not_count_goes() {
        assert_eq!(
            rules("include function  f ( int4 ,double   precision,\"My Type\" )"),
            [(
                1,
                "include function f(int4, double precision, \"My Type\")".to_owned()
            )]
        );
        assert_eq!(
            rules("include table a   b"),
            [(1, "include table a b".to_owned())]
        );
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, line, part) in [
            ("x", 1, "unknown command \"x\""),
            ("\n\n-t orders", 3, "no command"),
            ("include", 1, "sort of object is missing"),
            ("include tables x", 1, "\"tables\""),
            ("include table", 1, "name is missing"),
            ("include table # x", 1, "name is missing"),
            ("include table\norders", 1, "name is missing"),
            ("include table \"x\n\n", 3, "not closed"),
            ("includetable x", 1, "\"includetable\""),
        ] {
            let message = refused(text);
            assert!(message.contains(part), "{text}: {message}");
            assert!(
                message.contains(&format!("line {line}:")),
                "{text}: {message}"
            );
        }
    }
}
