//! The difference of privileges, against a small model of what the server does with them.

use pretty_assertions::assert_eq;
use proptest::prelude::*;

use super::*;
use crate::model::Privilege;

const OWNER: &str = "owner";
const V13: ServerVersion = ServerVersion::from_num(130_000);
const V16: ServerVersion = ServerVersion::from_num(160_000);
const V18: ServerVersion = ServerVersion::from_num(180_000);

/// `grantee=letters/grantor` as the server prints it; an empty grantee is PUBLIC.
fn item(text: &str) -> AclItem {
    let (grantee, rest) = text.split_once('=').unwrap();
    let (letters, grantor) = rest.split_once('/').unwrap();
    let mut privileges: Vec<Privilege> = Vec::new();
    for letter in letters.chars() {
        match (letter, privileges.last_mut()) {
            ('*', Some(last)) => last.grantable = true,
            _ => privileges.push(Privilege {
                letter,
                grantable: false,
            }),
        }
    }
    AclItem {
        grantee: (!grantee.is_empty()).then(|| grantee.to_owned()),
        grantor: grantor.to_owned(),
        privileges,
    }
}

fn acl(base: &[&str], current: &[&str]) -> Acl {
    Acl {
        current: Some(current.iter().map(|text| item(text)).collect()),
        base: base.iter().map(|text| item(text)).collect(),
    }
}

fn table(version: ServerVersion, base: &[&str], current: &[&str]) -> Vec<String> {
    let acl = acl(base, current);
    on(
        GrantKind::Table,
        "TABLE s.t",
        &acl,
        Some(OWNER),
        &Target::new(version),
    )
}

const TABLE: &[&str] = &["owner=arwdDxtm/owner"];
const TABLE_16: &[&str] = &["owner=arwdDxt/owner"];

#[test]
fn untouched_privileges_need_no_statement() {
    let acl = Acl {
        current: None,
        base: vec![item("owner=r/owner")],
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(
        on(
            GrantKind::Table,
            "TABLE s.t",
            &acl,
            Some(OWNER),
            &Target::new(V18)
        ),
        none
    );
    assert_eq!(table(V18, TABLE, TABLE), none);
    assert_eq!(table(V18, TABLE, &["owner=mtxDdwra/owner"]), none);
}

#[test]
fn grants_are_worded_with_their_options() {
    assert_eq!(
        table(
            V18,
            TABLE,
            &["owner=arwdDxtm/owner", "My Role=ra*/owner", "=r/owner"]
        ),
        [
            "GRANT SELECT ON TABLE s.t TO \"My Role\"",
            "GRANT INSERT ON TABLE s.t TO \"My Role\" WITH GRANT OPTION",
            "GRANT SELECT ON TABLE s.t TO PUBLIC",
        ]
    );
}

#[test]
fn what_the_owner_lost_is_revoked_and_the_rest_given_back_first() {
    assert_eq!(
        table(V18, TABLE, &["bob=r/owner", "owner=r/owner"]),
        [
            "REVOKE ALL ON TABLE s.t FROM owner",
            "GRANT SELECT ON TABLE s.t TO owner",
            "GRANT SELECT ON TABLE s.t TO bob",
        ]
    );
    assert_eq!(
        table(V18, TABLE, &[]),
        ["REVOKE ALL ON TABLE s.t FROM owner"]
    );
}

#[test]
fn all_is_never_granted_to_another_since_a_newer_server_has_more() {
    assert_eq!(
        table(V16, TABLE_16, &["owner=arwdDxt/owner", "bob=arwdDxt/owner"]),
        ["GRANT INSERT, SELECT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON TABLE s.t TO bob"]
    );
    assert_eq!(
        table(V16, TABLE_16, &["owner=a*r*w*d*D*x*t*/owner"]),
        [
            "REVOKE ALL ON TABLE s.t FROM owner",
            "GRANT ALL ON TABLE s.t TO owner WITH GRANT OPTION",
        ]
    );
}

#[test]
fn a_grant_by_somebody_else_runs_as_him_and_after_what_allows_it() {
    assert_eq!(
        table(
            V18,
            TABLE,
            &["owner=arwdDxtm/owner", "carol=r/bob", "bob=r*/owner"]
        ),
        [
            "GRANT SELECT ON TABLE s.t TO bob WITH GRANT OPTION",
            "SET ROLE bob",
            "GRANT SELECT ON TABLE s.t TO carol",
            "RESET ROLE",
        ]
    );
}

#[test]
fn default_rights_of_public_on_functions_are_revoked() {
    let function = |acl: &Acl| {
        on(
            GrantKind::Function,
            "FUNCTION s.f(integer)",
            acl,
            Some(OWNER),
            &Target::new(V13),
        )
    };
    assert_eq!(
        function(&acl(&["=X/owner", "owner=X/owner"], &["owner=X/owner"])),
        ["REVOKE ALL ON FUNCTION s.f(integer) FROM PUBLIC"]
    );
}

#[test]
fn columns_name_the_column_at_each_privilege() {
    let acl = acl(&[], &["bob=rw*/owner", "owner=arwx/owner"]);
    assert_eq!(
        on_column("TABLE s.t", "Select", &acl, Some(OWNER), &Target::new(V18)),
        [
            "GRANT ALL(\"Select\") ON TABLE s.t TO owner",
            "GRANT SELECT(\"Select\") ON TABLE s.t TO bob",
            "GRANT UPDATE(\"Select\") ON TABLE s.t TO bob WITH GRANT OPTION",
        ]
    );
}

#[test]
fn default_privileges_name_role_and_schema() {
    let rendered = |schema: Option<&str>, object_type, base: &[&str], current: &[&str]| {
        let default = DefaultAcl {
            oid: 1,
            wanted: true,
            role: String::from(OWNER),
            schema: schema.map(str::to_owned),
            object_type,
            acl: acl(base, current),
        };
        let node = Node::Object(crate::model::Address::new(
            crate::model::Class::DefaultAcl,
            1,
        ));
        render_default(node, &default, &Target::new(V18)).privileges
    };
    assert_eq!(
        rendered(Some("My"), 'r', &[], &["bob=r/owner"]),
        ["ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA \"My\" GRANT SELECT ON TABLES TO bob"]
    );
    assert_eq!(
        rendered(
            None,
            'f',
            &["=X/owner", "owner=X/owner"],
            &["owner=X/owner"]
        ),
        ["ALTER DEFAULT PRIVILEGES FOR ROLE owner REVOKE ALL ON FUNCTIONS FROM PUBLIC"]
    );
}

/// What the server does: grants only what the grantor may, refuses to revoke what others hang on.
#[derive(Clone, Debug)]
struct Server(Vec<AclItem>);

impl Server {
    /// Whether the role holds the grant option; the owner always does.
    fn may_grant(&self, role: &str, letter: char) -> bool {
        role == OWNER
            || self.0.iter().any(|item| {
                item.grantee.as_deref() == Some(role) && held(item, letter) == Some(true)
            })
    }

    fn run(&mut self, change: &Change) -> Result<(), String> {
        for letter in change.letters.chars() {
            let single = Change {
                letters: letter.to_string(),
                ..change.clone()
            };
            self.check_before(&single, letter)?;
            apply(&mut self.0, &single);
            self.check_after(&single, letter)?;
        }
        Ok(())
    }

    fn check_before(&self, change: &Change, letter: char) -> Result<(), String> {
        if !self.may_grant(&change.grantor, letter) {
            return Err(format!(
                "{} has no grant option: {change:?}",
                change.grantor
            ));
        }
        if change.verb == Verb::GrantWithOption {
            let Some(grantee) = &change.grantee else {
                return Err(String::from("grant options are not for PUBLIC"));
            };
            let mut without = self.clone();
            without.forget(grantee, letter);
            if grantee != OWNER && !without.may_grant(&change.grantor, letter) {
                return Err(String::from("granted back to one's own grantor"));
            }
        }
        Ok(())
    }

    fn check_after(&self, change: &Change, letter: char) -> Result<(), String> {
        let Some(grantee) = &change.grantee else {
            return Ok(());
        };
        let dependent = |item: &AclItem| &item.grantor == grantee && held(item, letter).is_some();
        if !self.may_grant(grantee, letter) && self.0.iter().any(dependent) {
            return Err(format!("dependent privileges exist: {change:?}"));
        }
        Ok(())
    }

    /// Whether roles hold an option from each other in a circle. Such a state depends on the
    /// order in which they got it, which no catalog keeps.
    fn has_circle(&self) -> bool {
        "raw".chars().any(|letter| {
            let mut edges: Vec<_> = self
                .0
                .iter()
                .filter(|item| held(item, letter) == Some(true) && item.grantor != OWNER)
                .map(|item| (item.grantor.as_str(), item.grantee.as_deref()))
                .collect();
            loop {
                let before = edges.len();
                let goals: Vec<_> = edges.iter().map(|(_, to)| *to).collect();
                edges.retain(|(from, _)| goals.contains(&Some(*from)));
                if edges.len() == before {
                    return before > 0;
                }
            }
        })
    }

    /// Takes the role's grant options, and all that hangs on them.
    fn forget(&mut self, role: &str, letter: char) {
        for item in &mut self.0 {
            if item.grantee.as_deref() == Some(role) {
                for privilege in &mut item.privileges {
                    privilege.grantable &= privilege.letter != letter;
                }
            }
        }
        let hanging: Vec<_> = self
            .0
            .iter()
            .filter(|item| item.grantor == role && held(item, letter).is_some())
            .cloned()
            .collect();
        for item in hanging {
            let change = Change {
                verb: Verb::Revoke,
                letters: letter.to_string(),
                grantee: item.grantee.clone(),
                grantor: item.grantor.clone(),
            };
            apply(&mut self.0, &change);
            if let Some(grantee) = &item.grantee
                && grantee != OWNER
                && !self.may_grant(grantee, letter)
            {
                self.forget(grantee, letter);
            }
        }
    }
}

fn any_change() -> impl Strategy<Value = Change> {
    let role = prop::sample::select(vec![OWNER, "alice", "bob", "carol"]);
    let grantee = prop::option::weighted(0.85, role.clone());
    let verb = prop::sample::select(vec![
        Verb::Grant,
        Verb::GrantWithOption,
        Verb::GrantWithOption,
        Verb::Revoke,
    ]);
    let letters = prop::sample::select(vec!["r", "w", "rw", "a", "raw"]);
    (verb, letters, grantee, role).prop_map(|(verb, letters, grantee, grantor)| Change {
        verb,
        letters: letters.to_owned(),
        grantee: grantee.map(str::to_owned),
        grantor: grantor.to_owned(),
    })
}

/// Privileges that some sequence of accepted statements leads to.
fn any_acl() -> impl Strategy<Value = Vec<AclItem>> {
    proptest::collection::vec(any_change(), 0..25).prop_map(|changes| {
        let mut server = Server(vec![item("owner=raw/owner")]);
        for change in changes {
            let mut tried = server.clone();
            if tried.run(&change).is_ok() && !tried.has_circle() {
                server = tried;
            }
        }
        server.0
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_changes_run_and_lead_from_any_state_to_any_other(base in any_acl(), current in any_acl()) {
        let mut server = Server(base.clone());
        for change in changes(&base, &current, Some(OWNER)) {
            prop_assert!(!change.letters.is_empty());
            if let Err(error) = server.run(&change) {
                prop_assert!(false, "{}", error);
            }
        }
        prop_assert_eq!(server.0.len(), current.len());
        for item in &current {
            prop_assert!(server.0.iter().any(|other| equal(item, other)), "{:?}", item);
        }
    }
}
