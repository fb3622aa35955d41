//! Privileges as the server writes them: arrays of `aclitem`, read as text.

use super::roles::Roles;
use crate::error::{Error, Kind, Result};
use crate::model::{Acl, AclItem, Privilege};

/// Reads an object's privileges, and the ones that it started from, out of the texts of their
/// `aclitem`s (`grantee=privileges/grantor`). `current` is none where the catalog holds null.
///
/// Names of roles that no longer exist come out as numbers; [`drop_dangling`] removes them.
///
/// # Errors
/// When a text is not an aclitem.
pub(crate) fn parse(current: Option<Vec<String>>, base: Vec<String>) -> Result<Acl> {
    let items = |texts: Vec<String>| texts.iter().map(|text| item(text)).collect::<Result<_>>();
    Ok(Acl {
        current: current.map(items).transpose()?,
        base: items(base)?,
    })
}

fn item(text: &str) -> Result<AclItem> {
    let malformed = || {
        Error::new(
            Kind::Failed,
            format!("privileges that cannot be read: {text}"),
        )
    };
    let (grantee, rest) = role(text);
    let rest = rest.strip_prefix('=').ok_or_else(malformed)?;
    let (letters, grantor) = rest.split_once('/').ok_or_else(malformed)?;
    let (grantor, rest) = role(grantor);
    if !rest.is_empty() || grantor.is_empty() {
        return Err(malformed());
    }
    let mut privileges: Vec<Privilege> = Vec::with_capacity(letters.len());
    for letter in letters.chars() {
        if letter == '*' {
            privileges.last_mut().ok_or_else(malformed)?.grantable = true;
        } else if letter.is_ascii_alphabetic() {
            privileges.push(Privilege {
                letter,
                grantable: false,
            });
        } else {
            return Err(malformed());
        }
    }
    Ok(AclItem {
        grantee: (!grantee.is_empty()).then_some(grantee),
        grantor,
        privileges,
    })
}

/// A role's name and what follows it: up to the first `=` or `/` outside double quotes.
fn role(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut quoted = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, character)) = chars.next() {
        match character {
            '"' if quoted && chars.next_if(|&(_, next)| next == '"').is_some() => name.push('"'),
            '"' => quoted = !quoted,
            '=' | '/' if !quoted => return (name, &text[at..]),
            _ => name.push(character),
        }
    }
    (name, "")
}

/// Removes items whose grantee or grantor is the number of a role that is gone, and returns those
/// numbers.
pub(crate) fn drop_dangling(acl: &mut Acl, roles: &Roles) -> Vec<String> {
    let gone = |name: &str| name.bytes().all(|b| b.is_ascii_digit()) && !roles.contains(name);
    let mut found = Vec::new();
    let mut clean = |items: &mut Vec<AclItem>| {
        items.retain(|item| {
            let names = [item.grantee.as_deref(), Some(item.grantor.as_str())];
            let dangling: Vec<_> = names.into_iter().flatten().filter(|n| gone(n)).collect();
            found.extend(dangling.iter().map(|&name| name.to_owned()));
            dangling.is_empty()
        });
    };
    clean(&mut acl.base);
    acl.current.as_mut().map(&mut clean);
    found.sort_unstable();
    found.dedup();
    found
}

/// An item without grant options: `letters` given to `grantee` (none for PUBLIC) by `grantor`.
pub(crate) fn grant(grantee: Option<&str>, letters: &str, grantor: &str) -> AclItem {
    let privilege = |letter| Privilege {
        letter,
        grantable: false,
    };
    AclItem {
        grantee: grantee.map(str::to_owned),
        grantor: grantor.to_owned(),
        privileges: letters.chars().map(privilege).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the server prints a role's name in an aclitem.
    fn putid(name: &str) -> String {
        if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            name.to_owned()
        } else {
            format!("\"{}\"", name.replace('"', "\"\""))
        }
    }

    fn print(item: &AclItem) -> String {
        let letters: String = item
            .privileges
            .iter()
            .map(|p| format!("{}{}", p.letter, if p.grantable { "*" } else { "" }))
            .collect();
        format!(
            "{}={letters}/{}",
            item.grantee.as_deref().map(putid).unwrap_or_default(),
            putid(&item.grantor)
        )
    }

    fn any_item() -> impl Strategy<Value = AclItem> {
        let name = "[a-zA-Z0-9_=/\"*, {}\\\\ü]{1,20}";
        let privilege = ("[arwdDxtmXUCcTsA]", any::<bool>()).prop_map(|(letter, grantable)| {
            let letter = letter.chars().next().unwrap();
            Privilege { letter, grantable }
        });
        (
            proptest::option::of(name),
            name,
            proptest::collection::vec(privilege, 0..8),
        )
            .prop_map(|(grantee, grantor, privileges)| AclItem {
                grantee,
                grantor,
                privileges,
            })
    }

    proptest! {
        #[test]
        fn what_the_server_prints_is_read_back(wanted in any_item()) {
            prop_assert_eq!(item(&print(&wanted)).unwrap(), wanted);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = item(&text);
        }
    }

    #[test]
    fn reads_the_usual_forms() {
        let acl = parse(
            Some(vec!["=r/bob".into(), "\"A \"\"b\"=a*w/\"x=y/z\"".into()]),
            vec![],
        )
        .unwrap();
        let items = acl.current.unwrap();
        assert_eq!(items[0], grant(None, "r", "bob"));
        assert_eq!(items[1].grantee.as_deref(), Some("A \"b"));
        assert_eq!(items[1].grantor, "x=y/z");
        assert!(items[1].privileges[0].grantable);
        assert!(!items[1].privileges[1].grantable);
        assert!(parse(Some(vec!["no privileges".into()]), vec![]).is_err());
        assert!(parse(None, vec!["a=*r/b".into()]).is_err());
    }

    #[test]
    fn order_alone_is_no_difference() {
        let (a, b) = (
            grant(None, "U", "owner"),
            grant(Some("owner"), "UC", "owner"),
        );
        let acl = Acl {
            current: Some(vec![a.clone(), b.clone()]),
            base: vec![b.clone(), a],
        };
        assert!(!acl.differs());
        let less = Acl {
            current: Some(vec![]),
            base: vec![b],
        };
        assert!(less.differs());
    }

    #[test]
    fn roles_that_are_gone_are_left_out() {
        let mut acl = parse(
            Some(vec![
                "16400=r/postgres".into(),
                "bob=r/16401".into(),
                "777=r/postgres".into(),
            ]),
            vec![],
        )
        .unwrap();
        let roles = Roles::from_names([(10, "postgres"), (16_500, "bob"), (16_501, "777")]);
        assert_eq!(drop_dangling(&mut acl, &roles), ["16400", "16401"]);
        let left = acl.current.unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].grantee.as_deref(), Some("777"));
    }
}
