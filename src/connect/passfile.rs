//! `.pgpass`: passwords by host, port, database and user.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::secret::Secret;

/// What a password is looked up by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// As the user wrote it; `localhost` for the default socket directory.
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// Why a password file that exists is not used; said to the user, once.
pub(super) fn complaint(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() {
        return Some(format!(
            "password file {} is not a plain file and is ignored",
            path.display()
        ));
    }
    (metadata.permissions().mode() & 0o077 != 0).then(|| {
        format!(
            "password file {} has group or world access and is ignored; permissions should be u=rw (0600) or less",
            path.display()
        )
    })
}

/// The first password that fits; none from a file that others can read.
pub(super) fn look_up(path: &Path, place: Place<'_>) -> Option<Secret> {
    if complaint(path).is_some() {
        return None;
    }
    let text = std::fs::read(path).ok()?;
    find(&String::from_utf8_lossy(&text), place)
}

fn find(text: &str, place: Place<'_>) -> Option<Secret> {
    let port = place.port.to_string();
    let wanted = [place.host, &port, place.database, place.user];
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let mut rest = line.strip_suffix('\r').unwrap_or(line);
            for wanted in wanted {
                let (field, wildcard, tail) = take_field(rest)?;
                if !wildcard && field != wanted {
                    return None;
                }
                rest = tail;
            }
            Some(unescape(rest))
        })
        .filter(|password| !password.is_empty())
        .map(Secret::new)
}

/// One field up to an unescaped colon: its text, whether it is a bare `*`, and what follows.
fn take_field(text: &str) -> Option<(String, bool, &str)> {
    let mut field = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                if let Some((_, escaped)) = chars.next() {
                    field.push(escaped);
                }
            }
            ':' => return Some((field, &text[..at] == "*", &text[at + 1..])),
            c => field.push(c),
        }
    }
    None
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            // A lone backslash at the end stands for itself.
            '\\' => plain.push(chars.next().unwrap_or('\\')),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PLACE: Place<'static> = Place {
        host: "db",
        port: 5432,
        database: "shop",
        user: "me",
    };

    fn found(text: &str, place: Place<'_>) -> Option<String> {
        find(text, place).map(|secret| secret.reveal().to_owned())
    }

    #[test]
    fn lines() {
        for (text, expected) in [
            ("db:5432:shop:me:pw", Some("pw")),
            ("db:5432:shop:me:pw\r\n", Some("pw")),
            ("*:*:*:*:pw", Some("pw")),
            ("#db:5432:shop:me:no\n*:5432:*:me:pw", Some("pw")),
            (
                "db:5433:shop:me:no\ndb:5432:shop:me:first\n*:*:*:*:second",
                Some("first"),
            ),
            ("db:5432:shop:me:a\\:b\\\\c", Some("a:b\\c")),
            ("db:5432:shop:me:a:b", Some("a:b")),
            ("\\*:5432:shop:me:pw", None),
            ("d*:5432:shop:me:pw", None),
            ("db:5432:shop:me", None),
            ("db:5432:shop:me:", None),
            ("", None),
            (" db:5432:shop:me:pw", None),
        ] {
            assert_eq!(found(text, PLACE).as_deref(), expected, "{text:?}");
        }
        let odd = Place {
            host: "::1",
            database: "a:b\\c",
            user: "*",
            ..PLACE
        };
        assert_eq!(
            found("\\:\\:1:5432:a\\:b\\\\c:\\*:pw", odd).as_deref(),
            Some("pw")
        );
    }

    #[test]
    fn a_file_that_others_can_read_is_ignored_and_said_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        fs::write(&path, "*:*:*:*:pw\n").unwrap();
        for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(look_up(&path, PLACE).is_some(), fine, "{mode:o}");
            assert_eq!(complaint(&path).is_none(), fine, "{mode:o}");
        }
        assert!(complaint(directory.path()).is_some());
        assert!(complaint(&directory.path().join("none")).is_none());
        assert!(look_up(&directory.path().join("none"), PLACE).is_none());
    }
}
