//! GRANT and REVOKE: the difference between what an object has and what a new one would have.
//!
//! A new object is taken to have [`Acl::base`]. What differs is revoked and granted: first the
//! revokes, then the owner's own grants, then the others in the catalog's order, each only once
//! its grantor can give it. `ALL` is written for a grant only to the owner: to anybody else it
//! would hand over privileges that a newer server has and the source did not know (MAINTAIN).

use crate::graph::Node;
use crate::model::{Acl, AclItem, Components, DefaultAcl, Header};
use crate::sql::{RESET_ROLE, ServerVersion, ident};

use super::rendered::Rendered;
use super::target::Target;

/// What privileges are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GrantKind {
    Table,
    Column,
    Sequence,
    Function,
    Type,
    Schema,
    Database,
    Language,
    ForeignDataWrapper,
    ForeignServer,
    LargeObject,
    Tablespace,
    Parameter,
}

impl GrantKind {
    /// The letters of all privileges that a server of this version has for the kind.
    const fn all(self, version: ServerVersion) -> &'static str {
        match self {
            Self::Table if version.at_least(17) => "arwdDxtm",
            Self::Table => "arwdDxt",
            Self::Column => "arwx",
            Self::Sequence => "rwU",
            Self::Function => "X",
            Self::Type | Self::Language | Self::ForeignDataWrapper | Self::ForeignServer => "U",
            Self::Schema => "UC",
            Self::Database => "CTc",
            Self::LargeObject => "rw",
            Self::Tablespace => "C",
            Self::Parameter => "sA",
        }
    }
}

/// The keyword for a privilege's letter; none for a letter that no known server has.
const fn keyword(letter: char) -> Option<&'static str> {
    Some(match letter {
        'r' => "SELECT",
        'a' => "INSERT",
        'w' => "UPDATE",
        'd' => "DELETE",
        'D' => "TRUNCATE",
        'x' => "REFERENCES",
        't' => "TRIGGER",
        'm' => "MAINTAIN",
        'X' => "EXECUTE",
        'U' => "USAGE",
        'C' => "CREATE",
        'T' => "TEMPORARY",
        'c' => "CONNECT",
        's' => "SET",
        'A' => "ALTER SYSTEM",
        _ => return None,
    })
}

/// The first major that has a role of the server's own; none for other roles, and for those that
/// every known server has.
pub(super) fn predefined_since(role: &str) -> Option<u32> {
    Some(match role {
        "pg_database_owner" | "pg_read_all_data" | "pg_write_all_data" => 14,
        "pg_checkpoint" => 15,
        "pg_create_subscription" | "pg_use_reserved_connections" => 16,
        "pg_maintain" => 17,
        "pg_signal_autovacuum_worker" => 18,
        _ => return None,
    })
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Grant,
    GrantWithOption,
    Revoke,
}

/// One GRANT or REVOKE.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    verb: Verb,
    /// Letters, in the item's order.
    letters: String,
    grantee: Option<String>,
    grantor: String,
}

type Key<'a> = (Option<&'a str>, &'a str);

fn key(item: &AclItem) -> Key<'_> {
    (item.grantee.as_deref(), &item.grantor)
}

fn find<'a>(items: &'a [AclItem], wanted: Key<'_>) -> Option<&'a AclItem> {
    items.iter().find(|item| key(item) == wanted)
}

/// Whether the item holds the privilege: `None` not at all, else whether with grant option.
fn held(item: &AclItem, letter: char) -> Option<bool> {
    item.privileges
        .iter()
        .find(|privilege| privilege.letter == letter)
        .map(|privilege| privilege.grantable)
}

fn equal(a: &AclItem, b: &AclItem) -> bool {
    let covers = |a: &AclItem, b: &AclItem| {
        a.privileges
            .iter()
            .all(|privilege| held(b, privilege.letter) == Some(privilege.grantable))
    };
    key(a) == key(b) && covers(a, b) && covers(b, a)
}

fn letters(item: &AclItem, mut keep: impl FnMut(char, bool) -> bool) -> String {
    item.privileges
        .iter()
        .filter(|privilege| keep(privilege.letter, privilege.grantable))
        .map(|privilege| privilege.letter)
        .collect()
}

/// The changes that turn `base` into `current`.
fn changes(base: &[AclItem], current: &[AclItem], owner: Option<&str>) -> Vec<Change> {
    let mut changes = Vec::new();
    if base.iter().all(|item| Some(item.grantor.as_str()) == owner) {
        // An item that only differs is taken away whole and given again, so that the order of
        // items comes out as on the source.
        let differing = base
            .iter()
            .filter(|item| !current.iter().any(|other| equal(item, other)))
            .collect();
        difference(base, current, differing, owner, &mut changes);
        return changes;
    }
    // In the base somebody already passed on what he was given. What he loses, those after him
    // must lose first, and perhaps be given again. Privileges do not touch each other: one after
    // the other, each that differs anywhere is torn down and built up.
    let mut seen = Vec::new();
    for item in base.iter().chain(current) {
        for privilege in &item.privileges {
            if seen.contains(&privilege.letter) {
                continue;
            }
            seen.push(privilege.letter);
            let (base, current) = (
                only(base, privilege.letter),
                only(current, privilege.letter),
            );
            let same = base.len() == current.len()
                && base
                    .iter()
                    .all(|item| current.iter().any(|other| equal(item, other)));
            if !same {
                difference(&base, &current, base.iter().collect(), owner, &mut changes);
            }
        }
    }
    changes
}

/// The items with nothing but one privilege in them.
fn only(items: &[AclItem], letter: char) -> Vec<AclItem> {
    items
        .iter()
        .map(|item| AclItem {
            privileges: item
                .privileges
                .iter()
                .filter(|privilege| privilege.letter == letter)
                .copied()
                .collect(),
            ..item.clone()
        })
        .filter(|item| !item.privileges.is_empty())
        .collect()
}

/// Revokes the items of `base` in `revoked` whole, then grants what is missing for `current`.
fn difference(
    base: &[AclItem],
    current: &[AclItem],
    mut revoked: Vec<&AclItem>,
    owner: Option<&str>,
    changes: &mut Vec<Change>,
) {
    // What the object has while the changes run.
    let mut state: Vec<AclItem> = base.to_vec();
    while !revoked.is_empty() {
        // Last first, and nobody before those who have it from him.
        let at = revoked
            .iter()
            .rposition(|item| !gives(item, &revoked, owner))
            .unwrap_or(revoked.len() - 1);
        let item = revoked.remove(at);
        let change = Change {
            verb: Verb::Revoke,
            letters: letters(item, |_, _| true),
            grantee: item.grantee.clone(),
            grantor: item.grantor.clone(),
        };
        apply(&mut state, &change);
        changes.push(change);
    }
    grant(&mut state, current, owner, changes);
}

/// Whether the item's grantee could have given another one in the list by it. The owner needs no
/// grant to give.
fn gives(item: &AclItem, list: &[&AclItem], owner: Option<&str>) -> bool {
    item.grantee.as_deref() != owner
        && item.privileges.iter().any(|privilege| privilege.grantable)
        && list
            .iter()
            .any(|other| Some(&other.grantor) == item.grantee.as_ref() && *other != item)
}

/// Gives what is missing, as soon as the grantor can give it.
fn grant(
    state: &mut Vec<AclItem>,
    current: &[AclItem],
    owner: Option<&str>,
    changes: &mut Vec<Change>,
) {
    let own = |item: &&AclItem| owner.is_some() && key(item) == (owner, owner.unwrap_or_default());
    let mut pending: Vec<&AclItem> = current.iter().filter(own).collect();
    pending.extend(current.iter().filter(|item| !own(item)));
    loop {
        let before = changes.len();
        pending.retain(|item| give(item, state, owner, Giver::Able, changes));
        if pending.is_empty() {
            return;
        }
        if changes.len() == before {
            // No grantor has what he gave: roles were altered behind the catalogs. The server
            // shall judge.
            for item in pending {
                give(item, state, owner, Giver::Any, changes);
            }
            return;
        }
    }
}

/// Whether the grantor's right to grant is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Giver {
    Able,
    Any,
}

/// Gives what of the item can be given now; answers whether something is left.
fn give(
    item: &AclItem,
    state: &mut Vec<AclItem>,
    owner: Option<&str>,
    giver: Giver,
    changes: &mut Vec<Change>,
) -> bool {
    let able = |state: &[AclItem], letter| {
        giver == Giver::Any
            || owner.is_none_or(|owner| owner == item.grantor)
            || state.iter().any(|other| {
                other.grantee.as_ref() == Some(&item.grantor) && held(other, letter) == Some(true)
            })
    };
    let lacks = |state: &[AclItem], letter, grantable: bool| {
        let has = find(state, key(item)).and_then(|has| held(has, letter));
        has.is_none_or(|option| grantable && !option)
    };
    let mut left = false;
    for (verb, option) in [(Verb::Grant, false), (Verb::GrantWithOption, true)] {
        let letters = letters(item, |letter, grantable| {
            if grantable != option || !lacks(state, letter, grantable) {
                return false;
            }
            let able = able(state, letter);
            left |= !able;
            able
        });
        if letters.is_empty() {
            continue;
        }
        let change = Change {
            verb,
            letters,
            grantee: item.grantee.clone(),
            grantor: item.grantor.clone(),
        };
        apply(state, &change);
        changes.push(change);
    }
    left
}

/// What the server makes of a change.
fn apply(state: &mut Vec<AclItem>, change: &Change) {
    let wanted = (change.grantee.as_deref(), change.grantor.as_str());
    let at = state.iter().position(|item| key(item) == wanted);
    let at = match (at, change.verb) {
        (Some(at), _) => at,
        (None, Verb::Grant | Verb::GrantWithOption) => {
            state.push(AclItem {
                grantee: change.grantee.clone(),
                grantor: change.grantor.clone(),
                privileges: Vec::new(),
            });
            state.len() - 1
        }
        (None, Verb::Revoke) => return,
    };
    let privileges = &mut state[at].privileges;
    for letter in change.letters.chars() {
        let place = privileges.iter().position(|p| p.letter == letter);
        match (change.verb, place) {
            (Verb::Grant | Verb::GrantWithOption, None) => {
                privileges.push(crate::model::Privilege {
                    letter,
                    grantable: change.verb == Verb::GrantWithOption,
                });
            }
            (Verb::GrantWithOption, Some(place)) => privileges[place].grantable = true,
            (Verb::Revoke, Some(place)) => {
                privileges.remove(place);
            }
            (Verb::Grant, Some(_)) | (Verb::Revoke, None) => {}
        }
    }
    if state[at].privileges.is_empty() {
        state.remove(at);
    }
}

/// How changes are worded.
struct Wording<'a> {
    kind: GrantKind,
    target: &'a Target,
    /// `TABLE s.t`; `TABLES` for default privileges.
    object: &'a str,
    /// The column, for column privileges.
    column: Option<&'a str>,
    owner: Option<&'a str>,
    /// `ALTER DEFAULT PRIVILEGES … `, or empty.
    prefix: &'a str,
}

impl Wording<'_> {
    fn statements(&self, changes: &[Change]) -> Vec<String> {
        let mut statements = Vec::new();
        for change in changes {
            if !self.is_known(change) {
                continue;
            }
            let foreign_grantor = self.is_by_another(change);
            if foreign_grantor {
                // Not the session's authorization: that is for superusers alone, and this is for
                // members of the role as well.
                statements.push(format!("SET ROLE {}", ident(&change.grantor)));
            }
            statements.push(self.statement(change));
            if foreign_grantor {
                statements.push(String::from(RESET_ROLE));
            }
        }
        statements
    }

    /// Whether somebody other than the owner gives. Default privileges are always the role's own
    /// grants.
    fn is_by_another(&self, change: &Change) -> bool {
        self.prefix.is_empty() && self.owner.is_some_and(|owner| owner != change.grantor)
    }

    /// Whether the target has all that the statement would name.
    fn is_known(&self, change: &Change) -> bool {
        // The owner's own grants do not name him.
        let grantor = Some(change.grantor.as_str()).filter(|_| self.is_by_another(change));
        let roles = [change.grantee.as_deref(), grantor];
        for role in roles.into_iter().flatten() {
            if let Some(since) = predefined_since(role)
                && !self.target.at_least(since)
            {
                self.target
                    .note(format!("privileges of {role}, which is not there"));
                return false;
            }
        }
        // With others it is left out of the list.
        change.letters != "m" || self.knows('m')
    }

    /// Whether the target has the privilege.
    fn knows(&self, letter: char) -> bool {
        let known = letter != 'm' || self.target.at_least(17);
        if !known {
            self.target
                .note("the privilege MAINTAIN, which is not there");
        }
        known
    }

    fn statement(&self, change: &Change) -> String {
        let (verb, preposition, end) = match change.verb {
            Verb::Grant => ("GRANT", "TO", ""),
            Verb::GrantWithOption => ("GRANT", "TO", " WITH GRANT OPTION"),
            Verb::Revoke => ("REVOKE", "FROM", ""),
        };
        let grantee = match &change.grantee {
            Some(name) => ident(name),
            None => String::from("PUBLIC"),
        };
        format!(
            "{}{verb} {} ON {} {preposition} {grantee}{end}",
            self.prefix,
            self.privileges(change),
            self.object
        )
    }

    fn privileges(&self, change: &Change) -> String {
        let all = self.kind.all(self.target.source());
        let whole = all.chars().all(|letter| change.letters.contains(letter));
        let to_owner = change.grantee.is_some() && change.grantee.as_deref() == self.owner;
        let taken = change.verb == Verb::Revoke;
        let column = self
            .column
            .map(|column| format!("({})", ident(column)))
            .unwrap_or_default();
        // Before 17 an owner may do what MAINTAIN stands for, whatever he has revoked from himself.
        let keeps_maintain = whole
            && taken
            && to_owner
            && self.kind == GrantKind::Table
            && !self.target.source().at_least(17)
            && self.target.at_least(17);
        if whole && (taken || to_owner) && !keeps_maintain {
            return format!("ALL{column}");
        }
        let words: Vec<_> = change
            .letters
            .chars()
            .filter(|&letter| self.knows(letter))
            .filter_map(keyword)
            .map(|word| format!("{word}{column}"))
            .collect();
        words.join(", ")
    }
}

/// The statements for an object; `object` is `TABLE s.t`, `FUNCTION s.f(integer)`, ….
pub(super) fn on(
    kind: GrantKind,
    object: &str,
    acl: &Acl,
    owner: Option<&str>,
    target: &Target,
) -> Vec<String> {
    statements(kind, object, None, acl, owner, target)
}

/// The statements for a column of the table named by `object`.
pub(super) fn on_column(
    object: &str,
    column: &str,
    acl: &Acl,
    owner: Option<&str>,
    target: &Target,
) -> Vec<String> {
    statements(GrantKind::Column, object, Some(column), acl, owner, target)
}

fn statements(
    kind: GrantKind,
    object: &str,
    column: Option<&str>,
    acl: &Acl,
    owner: Option<&str>,
    target: &Target,
) -> Vec<String> {
    let Some(current) = &acl.current else {
        return Vec::new();
    };
    Wording {
        kind,
        target,
        object,
        column,
        owner,
        prefix: "",
    }
    .statements(&changes(&acl.base, current, owner))
}

/// The statements for an object with a header, if its privileges are wanted.
pub(super) fn of(kind: GrantKind, object: &str, header: &Header, target: &Target) -> Vec<String> {
    if !header.wanted.has(Components::ACL) {
        return Vec::new();
    }
    on(kind, object, &header.acl, header.owner.as_deref(), target)
}

/// `ALTER DEFAULT PRIVILEGES`.
pub(super) fn render_default(node: Node, acl: &DefaultAcl, target: &Target) -> Rendered {
    let (kind, objects) = match acl.object_type {
        'S' => (GrantKind::Sequence, "SEQUENCES"),
        'f' => (GrantKind::Function, "FUNCTIONS"),
        'T' => (GrantKind::Type, "TYPES"),
        'n' => (GrantKind::Schema, "SCHEMAS"),
        'L' => (GrantKind::LargeObject, "LARGE OBJECTS"),
        _ => (GrantKind::Table, "TABLES"),
    };
    let name = format!("DEFAULT PRIVILEGES FOR {objects}");
    let mut rendered = Rendered::named(node, "DEFAULT ACL", acl.schema.clone(), name);
    rendered.owner = Some(acl.role.clone());
    let Some(current) = acl.acl.current.as_ref().filter(|_| acl.wanted) else {
        return rendered;
    };
    let of_large_objects = acl.object_type == 'L';
    target.needs(of_large_objects, 18, "default privileges for large objects");
    let mut prefix = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {} ", ident(&acl.role));
    if let Some(schema) = &acl.schema {
        prefix.push_str(&format!("IN SCHEMA {} ", ident(schema)));
    }
    rendered.privileges = Wording {
        kind,
        target,
        object: objects,
        column: None,
        owner: Some(&acl.role),
        prefix: &prefix,
    }
    .statements(&changes(&acl.acl.base, current, Some(&acl.role)));
    rendered
}

#[cfg(test)]
mod tests;
