//! The database itself, worded for the server that is to make it.

use std::collections::BTreeSet;

use crate::archive::{AclRecord, DatabaseRecord, Entry, Manifest};
use crate::connect::Wire;
use crate::ddl::database;
use crate::error::{Context, Result};
use crate::model::{Acl, AclItem, Address, Class, DatabaseProperties, Header, Privilege};
use crate::plan::LeaveOut;
use crate::sql::{ServerVersion, ident, literal};

/// What becomes of the archive's own statements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reworded {
    /// Whether they are worded for the target now.
    pub(super) done: bool,
    /// What of the database cannot be had on the target.
    pub(super) losses: Vec<String>,
}

/// Puts statements for a database of this name on a server of this version in the place of those
/// that the archive has for its source's own. What is not in the archive stays out.
pub(super) fn reword(
    entries: &mut [Entry],
    manifest: &Manifest,
    name: &str,
    target: ServerVersion,
    leave_out: LeaveOut,
) -> Reworded {
    let Some(record) = &manifest.database_properties else {
        return Reworded::default();
    };
    let Some(mut properties) = properties(manifest, record) else {
        return Reworded::default();
    };
    if leave_out.tablespaces {
        properties.tablespace = None;
    }
    let source = ServerVersion::from_num(manifest.server_version);
    for entry in entries {
        let put = |list: &mut Vec<String>, statements: Vec<String>| {
            if !list.is_empty() {
                *list = statements;
            }
        };
        match entry.kind.as_str() {
            "DATABASE" => {
                put(
                    &mut entry.create,
                    database::create(&properties, name, target),
                );
                let drop = format!("DROP DATABASE IF EXISTS {}", ident(name));
                put(&mut entry.drop, vec![drop]);
                put(&mut entry.set_owner, database::owner(&properties, name));
                let privileges = database::acl(&properties, name, source);
                put(&mut entry.privileges, privileges);
                put(&mut entry.comments, database::comments(&properties, name));
                put(&mut entry.labels, database::labels(&properties, name));
            }
            "DATABASE PROPERTIES" => {
                let statements = database::properties(&properties, name, target);
                put(&mut entry.create, statements);
            }
            _ => continue,
        }
        name.clone_into(&mut entry.name);
    }
    Reworded {
        done: true,
        losses: losses(&properties, target),
    }
}

/// The fields of the archive as the model has them; none when a needed one is missing.
fn properties(manifest: &Manifest, record: &DatabaseRecord) -> Option<DatabaseProperties> {
    let address = Address::new(Class::Database, 0);
    let mut header = Header::new(address, None, manifest.database.clone());
    header.owner.clone_from(&record.owner);
    header.comment.clone_from(&record.comment);
    let labels = record.labels.iter();
    header.labels = labels.map(|(p, l)| (0, p.clone(), l.clone())).collect();
    let items = |items: &[AclRecord]| items.iter().map(item).collect();
    header.acl = Acl {
        current: record.acl.as_ref().map(|acl| items(acl)),
        base: items(&record.acl_base),
    };
    Some(DatabaseProperties {
        header,
        encoding: manifest.database_encoding.clone()?,
        locale_provider: manifest.locale_provider.clone()?,
        collate: manifest.collate.clone()?,
        ctype: manifest.ctype.clone()?,
        locale: manifest.locale.clone(),
        icu_rules: manifest.icu_rules.clone(),
        tablespace: record.tablespace.clone(),
        connection_limit: record.connection_limit,
        is_template: record.is_template,
        settings: record
            .settings
            .iter()
            .map(|setting| {
                let setting = setting.clone();
                (setting.role, setting.name, setting.value)
            })
            .collect(),
    })
}

fn item(record: &AclRecord) -> AclItem {
    let mut privileges: Vec<Privilege> = Vec::new();
    for letter in record.privileges.chars() {
        match (letter, privileges.last_mut()) {
            ('*', Some(last)) => last.grantable = true,
            _ => privileges.push(Privilege {
                letter,
                grantable: false,
            }),
        }
    }
    AclItem {
        grantee: record.grantee.clone(),
        grantor: record.grantor.clone(),
        privileges,
    }
}

/// How the database of a session differs from the archive's in what it cannot be given any more.
///
/// # Errors
/// The server's.
pub(super) async fn unlike(wire: &mut Wire, manifest: &Manifest) -> Result<Vec<String>> {
    let version = wire.server_version();
    let provider = match version.at_least(15) {
        true => "CASE datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END",
        false => "'libc'",
    };
    let locale = match version.major() {
        ..15 => "NULL",
        15 | 16 => "daticulocale",
        _ => "datlocale",
    };
    let rules = match version.at_least(16) {
        true => "daticurules",
        false => "NULL",
    };
    let rows = wire
        .query(&format!(
            "SELECT pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype, {provider}, \
             {locale}, {rules}, datname FROM pg_catalog.pg_database \
             WHERE datname = pg_catalog.current_database()"
        ))
        .await
        .context_with(|| "ask for the encoding and locale of the database")?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(Vec::new());
    };
    let here = |at: usize| row.get(at).and_then(Option::as_deref);
    let archived = [
        ("encoding", &manifest.database_encoding),
        ("LC_COLLATE", &manifest.collate),
        ("LC_CTYPE", &manifest.ctype),
        ("locale provider", &manifest.locale_provider),
        ("locale", &manifest.locale),
        ("ICU rules", &manifest.icu_rules),
    ];
    let differs = |(at, (what, archived)): (usize, (&str, &Option<String>))| {
        let archived = archived.as_deref();
        // A manifest from before 15 has no word for a provider.
        if archived == here(at) || archived.is_none() && (at == 3 || at == 4) {
            return None;
        }
        let name = |value: Option<&str>| value.map_or("none".to_owned(), literal);
        Some(format!(
            "{what} {} instead of {}",
            name(here(at)),
            name(archived)
        ))
    };
    let unlike: Vec<String> = archived
        .into_iter()
        .enumerate()
        .filter_map(differs)
        .collect();
    if unlike.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "database {} stands already, with {}: texts may sort in another order, or not fit",
        ident(here(6).unwrap_or_default()),
        unlike.join(", ")
    )])
}

fn losses(properties: &DatabaseProperties, target: ServerVersion) -> Vec<String> {
    let mut losses = Vec::new();
    if !target.at_least(database::locale_provider_since(properties)) {
        let locale = properties.locale.iter();
        let locale: String = locale.map(|locale| format!(" with {locale}")).collect();
        losses.push(format!(
            "PostgreSQL {target} has no locale provider {}{locale}: the database gets the locale \
             {} of the operating system, and may sort in another order",
            properties.locale_provider, properties.collate
        ));
    }
    if properties.icu_rules.is_some() && !target.at_least(16) {
        losses.push(format!(
            "PostgreSQL {target} has no ICU rules for a database: it may sort in another order"
        ));
    }
    let settings = properties.settings.iter().map(|(_, name, _)| name);
    let lost: BTreeSet<&String> = settings
        .filter(|name| !database::is_known(name, target))
        .collect();
    losses.extend(lost.into_iter().map(|name| {
        format!("PostgreSQL {target} has no setting {name}: the database's own is left out")
    }));
    losses
}
