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

/// Refuses what is a URL of another kind (those that applications and drivers have in their `DATABASE_URL`):
/// taken for the name of a database or for `key=value` pairs, it would show its password in every message.
///
/// # Errors
/// Of kind `Usage`; nothing but the scheme is shown.
pub(super) fn refuse_foreign(text: &str) -> Result<()> {
    let text = text.trim_start();
    // Pairs begin with a keyword and `=`, and may have anything in their values.
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins_pairs = text
        .trim_start_matches(is_word)
        .trim_start()
        .starts_with('=');
    if is_uri(text) || begins_pairs {
        return Ok(());
    }
    let is_scheme = |text: &&str| {
        let letters = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
        text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(letters)
    };
    let scheme = text.split_once(':');
    let scheme = scheme.filter(|(scheme, after)| {
        after.starts_with("//") || after.contains("://") || scheme.eq_ignore_ascii_case("jdbc")
    });
    if let Some((scheme, _)) = scheme.filter(|(scheme, _)| is_scheme(scheme)) {
        return Err(usage(format!(
            "the connection has the scheme \"{scheme}\": known are postgresql:// and postgres://"
        ))
        .with_hint(
            "begin it with postgresql:// and leave out what only a driver understands, such as \"+asyncpg\"",
        ));
    }
    // `user:password@host` in whatever wrapping: without its scheme, with one slash, in quotes.
    let has_credentials = text.rfind('@').is_some_and(|at| text[..at].contains(':'));
    if has_credentials || text.contains("://") {
        return Err(usage(
            "the connection looks like a URL, but does not begin with postgresql:// or postgres://",
        )
        .with_hint("a database whose name looks so is given as dbname='NAME'"));
    }
    Ok(())
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
    // The same with a slash, at which the credentials would have ended.
    let path = after.split('?').next().unwrap_or_default();
    let is_cut = path
        .split_once('@')
        .is_some_and(|(_, host)| host.contains('/'));
    if credentials.is_none() && hosts.contains(':') && is_cut {
        return Err(slash());
    }
    push_hosts(hosts, &mut parameters)
        .map_err(|error| if after.contains('@') { slash() } else { error })?;

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

fn slash() -> Error {
    usage("connection uri: a / in the user or password must be written %2F")
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
                let port = decode(&after[..end], "port")?;
                // It may be a password that no host follows.
                if !port.trim().is_empty() && !port.trim().parse().is_ok_and(|port: u16| port > 0) {
                    return Err(usage("connection uri: invalid port number")
                        .with_hint("user and password stand before the host: user:password@host"));
                }
                ports.push(port);
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
            "postgres://u:secret",
            "postgres://u:secret/d",
            "postgres://u:sec/secret@h/d",
            "postgres://u:12/secret@h/d",
            "postgres://u:0",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }

    #[test]
    fn urls_of_others_are_refused_without_their_text() {
        for (text, shown) in [
            (
                "postgresql+asyncpg://app:geheim@h:1/shop",
                "\"postgresql+asyncpg\"",
            ),
            (
                "postgresql+psycopg2://app:geheim@h/shop?ssl=true",
                "\"postgresql+psycopg2\"",
            ),
            ("postgis://app:geheim@h/shop", "\"postgis\""),
            ("POSTGRES://app:geheim@h/shop", "\"POSTGRES\""),
            (
                "jdbc:postgresql://h/shop?user=app&password=geheim",
                "\"jdbc\"",
            ),
            ("postgres:/app:geheim@h/shop", "looks like a URL"),
            ("\"postgres://app:geheim@h/shop\"", "looks like a URL"),
            ("app:geheim@h/shop", "looks like a URL"),
            ("my_app:gehe=im@h/shop?x=y", "looks like a URL"),
            ("//app:geheim@h/shop", "looks like a URL"),
        ] {
            let error = refuse_foreign(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(error.message().contains(shown), "{text}: {error}");
            let told = format!("{error} {:?}", error.hint());
            assert!(!told.contains("gehe"), "{told}");
        }
        for fine in [
            "",
            "shop",
            "my:shop",
            "me@shop",
            "a b",
            "postgres://app:x@h/d",
            "password=a:b@c host=h",
            " dbname = 'http://a:b@c'",
        ] {
            refuse_foreign(fine).unwrap();
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
