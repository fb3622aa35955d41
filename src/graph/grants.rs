//! In which order memberships can be granted.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Globals;

/// An order of grants that a server accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantOrder {
    /// Positions in [`Globals::memberships`], each once.
    pub grants: Vec<usize>,
    /// Those of them that must be granted without their grantor, who could not have granted them:
    /// the catalogs were altered behind the server's back.
    pub without_grantor: BTreeSet<usize>,
}

/// Orders the memberships: from 16 on, whoever granted a role must have had it with ADMIN OPTION
/// before, except for the role that initdb made.
pub fn grant_order(globals: &Globals) -> GrantOrder {
    let mut order = GrantOrder::default();
    let mut admins: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut pending: Vec<usize> = (0..globals.memberships.len()).collect();
    loop {
        let before = pending.len();
        pending.retain(|&at| {
            let grant = &globals.memberships[at];
            let admins = admins.entry(&grant.role).or_default();
            let able = grant
                .grantor
                .as_deref()
                .is_none_or(|grantor| grantor == globals.bootstrap || admins.contains(grantor));
            if able {
                order.grants.push(at);
                if grant.admin {
                    admins.insert(&grant.member);
                }
            }
            !able
        });
        if pending.len() == before {
            break;
        }
    }
    order.without_grantor.extend(&pending);
    order.grants.extend(pending);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Membership;
    use crate::sql::ServerVersion;

    fn grant(role: &str, member: &str, grantor: &str, admin: bool) -> Membership {
        Membership {
            role: role.to_owned(),
            member: member.to_owned(),
            grantor: Some(grantor.to_owned()),
            admin,
            inherit: Some(true),
            set: Some(true),
        }
    }

    #[test]
    fn a_grantor_gets_the_admin_option_first() {
        let globals = Globals {
            version: ServerVersion::from_num(180_000),
            bootstrap: "boss".to_owned(),
            roles: Vec::new(),
            settings: Vec::new(),
            memberships: vec![
                grant("r", "a", "b", false),
                grant("r", "b", "c", true),
                grant("r", "c", "boss", true),
                grant("r", "d", "a", false),
                grant("s", "a", "b", false),
                grant("s", "b", "boss", true),
            ],
            tablespaces: Vec::new(),
            parameters: Vec::new(),
        };
        let order = grant_order(&globals);
        assert_eq!(order.grants, [2, 5, 1, 4, 0, 3]);
        // Somebody without ADMIN OPTION cannot have granted anything.
        assert_eq!(order.without_grantor, BTreeSet::from([3]));
    }
}
