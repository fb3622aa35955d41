//! Connection URIs: `postgresql://user:password@host:port,host:port/dbname?parameter=value`.

use crate::connect::conninfo::Parameters;
use crate::connect::keyword;
use crate::error::{Error, Kind, Result};

const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];

/// Whether this begins like a connection URI.
pub(super) fn is_uri(text: &str) -> bool {
    SCHEMES.iter().any(|scheme| text.starts_with(scheme))
}

fn usage(message: impl Into<String>) -> Error {
    Error::new(Kind::Usage, message)
}

/// Parses a URI. Messages name the part that is wrong and never show its text, which may hold a
/// password.
pub(super) fn parse(text: &str) -> Result<Parameters> {
    let rest = SCHEMES
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .ok_or_else(|| usage("connection uri must begin with postgresql:// or postgres://"))?;
    let mut parameters = Parameters::new();

    // Credentials end at the first `@`; libpq looks for it before the first slash only.
    let credentials_end = rest[..rest.find('/').unwrap_or(rest.len())].find('@');
    let (credentials, after) = match credentials_end {
        Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
        None => (None, rest),
    };
    if let Some(credentials) = credentials {
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        if !user.is_empty() {
            parameters.push(("user", decode(user, "user")?));
        }
        if let Some(password) = password.filter(|password| !password.is_empty()) {
            parameters.push(("password", decode(password, "password")?));
        }
    }

    let hosts_end = after.find(['/', '?']).unwrap_or(after.len());
    let (hosts, after) = after.split_at(hosts_end);
    // Most likely of a password: shown as a host it would stand in every message.
    if hosts.contains('@') {
        return Err(usage(
            "connection uri: an @ in the user or password must be written %40",
        ));
    }
    push_hosts(hosts, &mut parameters)?;

    let (dbname, query) = match after.strip_prefix('/') {
        Some(path) => match path.split_once('?') {
            Some((dbname, query)) => (dbname, Some(query)),
            None => (path, None),
        },
        None => ("", after.strip_prefix('?')),
    };
    if !dbname.is_empty() {
        parameters.push(("dbname", decode(dbname, "database name")?));
    }
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        push_query(query, &mut parameters)?;
    }
    Ok(parameters)
}

/// `host:port,host:port`; the lists keep their empty places so that they stay aligned.
fn push_hosts(text: &str, parameters: &mut Parameters) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut hosts = Vec::new();
    let mut ports = Vec::new();
    let mut rest = text;
    loop {
        let tail = if let Some(bracketed) = rest.strip_prefix('[') {
            let end = bracketed
                .find(']')
                .ok_or_else(|| usage("connection uri: missing \"]\" after an IPv6 address"))?;
            if end == 0 {
                return Err(usage("connection uri: empty IPv6 address"));
            }
            hosts.push(decode(&bracketed[..end], "host")?);
            &bracketed[end + 1..]
        } else {
            let end = rest.find([':', ',']).unwrap_or(rest.len());
            hosts.push(decode(&rest[..end], "host")?);
            &rest[end..]
        };
        let tail = match tail.strip_prefix(':') {
            Some(after) => {
                let end = after.find(',').unwrap_or(after.len());
                ports.push(decode(&after[..end], "port")?);
                &after[end..]
            }
            None => {
                ports.push(String::new());
                tail
            }
        };
        match tail.strip_prefix(',') {
            Some(next) => rest = next,
            None if tail.is_empty() => break,
            None => return Err(usage("connection uri: unexpected text after a host")),
        }
    }
    if hosts.iter().any(|host| !host.is_empty()) {
        parameters.push(("host", hosts.join(",")));
    }
    if ports.iter().any(|port| !port.is_empty()) {
        parameters.push(("port", ports.join(",")));
    }
    Ok(())
}

fn push_query(query: &str, parameters: &mut Parameters) -> Result<()> {
    for pair in query.split('&') {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(usage(
                "connection uri: a parameter after \"?\" has no \"=\"",
            ));
        };
        if value.contains('=') {
            return Err(
                usage("connection uri: a parameter after \"?\" has more than one \"=\"")
                    .with_hint("write = inside a value as %3D"),
            );
        }
        let name = decode(name, "parameter name")?;
        let value = decode(value, "parameter value")?;
        // JDBC's spelling, which libpq accepts too.
        if name == "ssl" && value == "true" {
            parameters.push(("sslmode", "require".to_owned()));
            continue;
        }
        let keyword = keyword::find(&name)?;
        keyword.check(&value)?;
        parameters.push((keyword.name, value));
    }
    Ok(())
}

/// Undoes percent-encoding.
fn decode(text: &str, what: &str) -> Result<String> {
    let hex = |byte: Option<u8>| byte.and_then(|byte| (byte as char).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        match (hex(bytes.next()), hex(bytes.next())) {
            (Some(0), Some(0)) => {
                return Err(usage(format!(
                    "connection uri: forbidden value %00 in the {what}"
                )));
            }
            #[expect(clippy::cast_possible_truncation, reason = "two hex digits fit a byte")]
            (Some(high), Some(low)) => decoded.push((high * 16 + low) as u8),
            _ => {
                return Err(usage(format!(
                    "connection uri: invalid percent-encoding in the {what}"
                ))
                .with_hint("write a literal % as %25"));
            }
        }
    }
    String::from_utf8(decoded)
        .map_err(|_| usage(format!("connection uri: the {what} is not valid UTF-8")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uris() {
        type Expected = &'static [(&'static str, &'static str)];
        let table: &[(&str, Expected)] = &[
            ("postgresql://", &[]),
            ("postgresql:///", &[]),
            ("postgres://localhost", &[("host", "localhost")]),
            (
                "postgres://localhost:5433",
                &[("host", "localhost"), ("port", "5433")],
            ),
            (
                "postgres://localhost/mydb",
                &[("host", "localhost"), ("dbname", "mydb")],
            ),
            (
                "postgres://user@localhost",
                &[("user", "user"), ("host", "localhost")],
            ),
            (
                "postgres://user:s%40crt@localhost/d",
                &[
                    ("user", "user"),
                    ("password", "s@crt"),
                    ("host", "localhost"),
                    ("dbname", "d"),
                ],
            ),
            (
                "postgres://u@h1:1,h2:2/d?target_session_attrs=read-write&application_name=x%20y",
                &[
                    ("user", "u"),
                    ("host", "h1,h2"),
                    ("port", "1,2"),
                    ("dbname", "d"),
                    ("target_session_attrs", "read-write"),
                    ("application_name", "x y"),
                ],
            ),
            ("postgres://h1,h2:2", &[("host", "h1,h2"), ("port", ",2")]),
            (
                "postgres://[2001:db8::1234]:99/d",
                &[("host", "2001:db8::1234"), ("port", "99"), ("dbname", "d")],
            ),
            ("postgres://[::1],[::2]/", &[("host", "::1,::2")]),
            (
                "postgres:///d?host=/tmp&port=5",
                &[("dbname", "d"), ("host", "/tmp"), ("port", "5")],
            ),
            ("postgres://%2Ftmp/d", &[("host", "/tmp"), ("dbname", "d")]),
            ("postgres://:pw@h", &[("password", "pw"), ("host", "h")]),
            ("postgres://@h", &[("host", "h")]),
            ("postgres://u:@h", &[("user", "u"), ("host", "h")]),
            ("postgres://?user=u%26v", &[("user", "u&v")]),
            (
                "postgres://h?ssl=true",
                &[("host", "h"), ("sslmode", "require")],
            ),
            ("postgres://h/d%2Fe?", &[("host", "h"), ("dbname", "d/e")]),
            ("postgres://:5433/d", &[("port", "5433"), ("dbname", "d")]),
        ];
        for (text, expected) in table {
            let parsed = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let parsed: Vec<_> = parsed.iter().map(|(k, v)| (*k, v.as_str())).collect();
            assert_eq!(&parsed[..], *expected, "{text}");
        }
    }

    #[test]
    fn broken_uris() {
        for text in [
            "postgres://[::1",
            "postgres://[]",
            "postgres://[::1]x",
            "postgres://h%zz",
            "postgres://h%4",
            "postgres://h%00",
            "postgres://h?x",
            "postgres://h?user=a=b",
            "postgres://h?nosuch=secret",
            "postgres://u:secret%@h",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn encoded_parts_come_back(user in "\\PC+", password in "\\PC+", dbname in "\\PC+") {
            let encode = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
            let text = format!(
                "postgres://{}:{}@h/{}", encode(&user), encode(&password), encode(&dbname)
            );
            prop_assert_eq!(parse(&text).unwrap(), vec![
                ("user", user), ("password", password), ("host", "h".to_owned()), ("dbname", dbname)
            ]);
        }

        #[test]
        fn no_input_panics(text in "\\PC*") {
            let _ = parse(&format!("postgres://{text}"));
        }
    }
}
