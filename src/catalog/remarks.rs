//! What users wrote on objects that the system or an extension made: comments and security labels.
//!
//! The catalogs do not say whose a comment is, but a row keeps the number of the transaction that
//! wrote it (freezing leaves it, copying a template too): initdb's end where it loaded plpgsql, and
//! an extension's script has those of its membership records.

use super::context::Reader;
use super::select::Selected;
use crate::error::{Result, one_line};
use crate::model::{Extension, Oid, Remark};
use crate::sql::ServerVersion;
use std::collections::{BTreeMap, BTreeSet};

/// Rows of one of the two catalogs that are the user's own: `text` and `provider` are expressions
/// over its row `n`. `$1`: whether those on the system's objects are asked for.
///
/// How much later than initdb's last transaction a row was written is counted round the clock of
/// transaction numbers; initdb's own are within some thousands before it. Objects that choose their
/// OIDs, and initdb's `public` (2200), are others' business.
fn of_catalog(catalog: &str, text: &str, provider: &str) -> String {
    format!(
        "WITH scripts AS MATERIALIZED (\
         SELECT DISTINCT d.refobjid AS extension, d.xmin::text::int8 AS xid \
         FROM pg_catalog.pg_depend d WHERE d.deptype = 'e' \
         AND d.refclassid = 'pg_catalog.pg_extension'::regclass), \
         initdb AS MATERIALIZED (SELECT coalesce(\
         (SELECT max(s.xid) FROM scripts s WHERE s.extension < 16384), \
         (SELECT max(p.xmin::text::int8) FROM pg_catalog.pg_init_privs p \
         WHERE p.privtype = 'i')) AS last), \
         own AS MATERIALIZED (\
         SELECT n.classoid, n.objoid, n.objsubid, m.refobjid AS extension, \
         {text} AS text, {provider} AS provider \
         FROM pg_catalog.{catalog} n CROSS JOIN initdb \
         LEFT JOIN pg_catalog.pg_depend m ON m.classid = n.classoid AND m.objid = n.objoid \
         AND m.deptype = 'e' AND m.refclassid = 'pg_catalog.pg_extension'::regclass \
         WHERE n.classoid <> 'pg_catalog.pg_largeobject'::regclass \
         AND NOT (n.classoid = 'pg_catalog.pg_namespace'::regclass \
         AND n.objoid = 2200) \
         AND CASE WHEN n.objoid < 16384 \
         THEN $1::bool AND ((n.xmin::text::int8 - initdb.last + 6442450944) % 4294967296) - 2147483648 \
         NOT BETWEEN -100000 AND 0 \
         ELSE m.refobjid IS NOT NULL AND NOT EXISTS (SELECT FROM scripts s \
         WHERE s.extension = m.refobjid AND s.xid = n.xmin::text::int8) END) \
         SELECT i.type, i.identity, own.extension, own.text, own.provider \
         FROM own CROSS JOIN LATERAL \
         pg_catalog.pg_identify_object(own.classoid, own.objoid, own.objsubid) i \
         WHERE i.identity IS NOT NULL"
    )
}

fn comments() -> String {
    of_catalog("pg_description", "n.description", "NULL::text")
}

fn labels() -> String {
    of_catalog("pg_seclabel", "n.label", "n.provider")
}

/// Extensions whose members were made in so many transactions that no script can have done it, as
/// after an upgrade of the server in place: there nobody can tell.
const BLURRED: &str = "\
SELECT d.refobjid FROM pg_catalog.pg_depend d \
WHERE d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::regclass \
GROUP BY d.refobjid \
HAVING count(*) > 8 AND count(DISTINCT d.xmin::text) * 4 > count(*)";

/// What COMMENT calls an object of this sort.
fn keyword(sort: &str) -> String {
    match sort {
        "foreign-data wrapper" => String::from("FOREIGN DATA WRAPPER"),
        "statistics object" => String::from("STATISTICS"),
        "composite type" => String::from("TYPE"),
        "table constraint" | "domain constraint" => String::from("CONSTRAINT"),
        column if column.ends_with(" column") => String::from("COLUMN"),
        other => other.to_uppercase(),
    }
}

/// Reads the remarks on what is wanted, in the order of what they are on.
///
/// # Errors
/// The server's.
pub(crate) async fn read(
    reader: &Reader<'_>,
    selected: &Selected,
    extensions: &[Extension],
) -> Result<Vec<Remark>> {
    const WHAT: &str = "comments on objects of the system and of extensions";
    if !selected.definitions() {
        return Ok(Vec::new());
    }
    let everything = selected.everything();
    let wanted: BTreeMap<Oid, &str> = extensions
        .iter()
        .filter(|extension| selected.has_members_of(extension.header.address.oid))
        .map(|extension| (extension.header.address.oid, extension.header.name.as_str()))
        .collect();
    let blurred: BTreeSet<Oid> = reader
        .rows(WHAT, BLURRED, &[])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let mut remarks: BTreeMap<String, Remark> = BTreeMap::new();
    let mut untold: BTreeMap<&str, usize> = BTreeMap::new();
    let catalogs = [
        (!reader.leave_out.comments, comments()),
        (!reader.leave_out.security_labels, labels()),
    ];
    for (_, query) in catalogs.iter().filter(|(asked, _)| *asked) {
        for row in &reader.rows(WHAT, query, &[&everything]).await? {
            let extension: Option<Oid> = row.get(2);
            if let Some(extension) = extension {
                let Some(&name) = wanted.get(&extension) else {
                    continue;
                };
                if blurred.contains(&extension) {
                    *untold.entry(name).or_default() += 1;
                    continue;
                }
            }
            let (sort, identity): (&str, String) = (row.get(0), row.get(1));
            let on = if sort == "domain constraint" {
                identity.replacen(" on ", " ON DOMAIN ", 1)
            } else {
                identity
            };
            let object = format!("{} {on}", keyword(sort));
            let remark = remarks.entry(object.clone()).or_insert(Remark {
                object,
                extension: extension.filter(|oid| *oid >= super::select::FIRST_NORMAL_OID),
                comment: None,
                labels: Vec::new(),
            });
            let text: String = row.get(3);
            match row.get(4) {
                Some(provider) => remark.labels.push((provider, text)),
                None => remark.comment = Some(text),
            }
        }
    }
    for (extension, count) in untold {
        reader.observer.warning(format!(
            "{count} comments or labels on members of extension {} are left out: this server does \
             not tell whether they came with it",
            one_line(extension)
        ));
    }
    let mut remarks: Vec<Remark> = remarks.into_values().collect();
    for remark in &mut remarks {
        remark.labels.sort();
    }
    Ok(remarks)
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("comments on others' objects", comments()),
        ("labels on others' objects", labels()),
        ("extensions of many transactions", BLURRED.to_owned()),
    ]
}
