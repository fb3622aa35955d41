//! `pg_service.conf`: named sets of connection parameters.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::connect::conninfo::Parameters;
use crate::connect::environment::Environment;
use crate::connect::keyword;
use crate::error::{Error, Kind, Result};

/// Where distributions keep the system-wide file when `PGSYSCONFDIR` is not set; libpq has one of
/// these compiled in.
const SYSTEM_DIRECTORIES: [&str; 4] = [
    "/etc/postgresql-common",
    "/etc/sysconfig/pgsql",
    "/usr/local/etc",
    "/etc",
];

/// The parameters of a service: from the user's file, else from the system's.
pub(super) fn find(
    service: &str,
    explicit_file: Option<&str>,
    environment: &dyn Environment,
) -> Result<Parameters> {
    let mut files: Vec<PathBuf> = Vec::new();
    match explicit_file.filter(|file| !file.is_empty()) {
        Some(file) => files.push(file.into()),
        None => files.extend(environment.home().map(|home| home.join(".pg_service.conf"))),
    }
    match environment
        .get("PGSYSCONFDIR")
        .filter(|directory| !directory.is_empty())
    {
        Some(directory) => files.push(Path::new(&directory).join("pg_service.conf")),
        None => files.extend(
            SYSTEM_DIRECTORIES
                .iter()
                .map(|directory| Path::new(directory).join("pg_service.conf")),
        ),
    }
    for (position, file) in files.iter().enumerate() {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && position > 0 => continue,
            Err(error) if error.kind() == ErrorKind::NotFound && explicit_file.is_none() => {
                continue;
            }
            Err(error) => {
                return Err(Error::new(
                    Kind::Usage,
                    format!("service file {}: {error}", file.display()),
                )
                .with_source(error));
            }
        };
        let found = section(&text, service)
            .map_err(|error| error.context(format!("service file {}", file.display())))?;
        if let Some(parameters) = found {
            return Ok(parameters);
        }
    }
    Err(Error::new(
        Kind::Usage,
        format!("definition of service \"{service}\" not found"),
    )
    .with_hint("services are defined in ~/.pg_service.conf or the file that PGSERVICEFILE names"))
}

/// The parameters of `[service]`, if the file has it.
fn section(text: &str, service: &str) -> Result<Option<Parameters>> {
    let mut parameters: Option<Parameters> = None;
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            if inside {
                break;
            }
            inside = header.strip_suffix(']') == Some(service);
            if inside {
                parameters = Some(Parameters::new());
            }
            continue;
        }
        let Some(parameters) = parameters.as_mut().filter(|_| inside) else {
            continue;
        };
        let wrong = |message: &str| Error::new(Kind::Usage, format!("line {number}: {message}"));
        if line.starts_with("ldap") {
            return Err(wrong("LDAP look-ups are not supported"));
        }
        let (name, value) = line
            .split_once('=')
            .ok_or_else(|| wrong("no \"=\" in this line"))?;
        let name = name.trim_end();
        if matches!(name, "service" | "servicefile") {
            return Err(wrong("a service cannot name another service"));
        }
        let keyword =
            keyword::find(name).map_err(|error| error.context(format!("line {number}")))?;
        let value = value.trim_start();
        keyword
            .check(value)
            .map_err(|error| error.context(format!("line {number}")))?;
        // The first value counts, as in libpq.
        if !parameters.iter().any(|(known, _)| *known == keyword.name) {
            parameters.push((keyword.name, value.to_owned()));
        }
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\n[other]\nhost=nowhere\n\n[shop]\n  host=db.example \nport = 5433\n# x\nport=1\nuser=me\n[last]\nuser=you\n";

    #[test]
    fn sections() {
        assert_eq!(
            section(FILE, "shop").unwrap().unwrap(),
            vec![
                ("host", "db.example".to_owned()),
                ("port", "5433".to_owned()),
                ("user", "me".to_owned())
            ]
        );
        assert_eq!(
            section(FILE, "last").unwrap().unwrap(),
            vec![("user", "you".to_owned())]
        );
        assert!(section(FILE, "none").unwrap().is_none());
    }

    #[test]
    fn wrong_lines_are_named_by_number() {
        for (text, line) in [
            ("[s]\nnothing", "line 2"),
            ("[s]\n\nservice=x", "line 3"),
            ("[s]\nhots=x", "line 2"),
            ("[s]\nldap://x", "line 2"),
        ] {
            let error = section(text, "s").unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.message().starts_with(line), "{error}");
        }
        // Another service's mistakes do not matter.
        assert!(
            section("[other]\nnothing\n[s]\nhost=h", "s")
                .unwrap()
                .is_some()
        );
    }
}
