//! Columns: types, defaults, identity, NOT NULL, storage, privileges.

use super::acl;
use super::binary_safe;
use super::context::{Fields, Reader, options};
use super::relations::by_oid;
use crate::error::{Error, Kind, Result};
use crate::model::{
    Acl, Column, ColumnSettings, Components, Default, Generated, Identity, NotNull, Oid, Relation,
    RelationKind,
};
use crate::sql::ServerVersion;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The option that servers keep for themselves in `attoptions`; its number changes with every
/// load.
const SERVERS_OWN_OPTION: &str = "pg_attver";

/// Columns of the relations `$1`; of those only the ones with privileges of their own where `$2`
/// is true.
///
/// A default cannot name columns: without its relation, which the server would have to open, it
/// reads the same.
fn columns(version: ServerVersion) -> String {
    // A child gets these from its parents, and needs a word where it has its type's own all the same. Partitions
    // are joined to their parents when they have all.
    let below_another = |what: &str| {
        format!(
            "a.attinhcount > 0 AND NOT rc.relispartition AND EXISTS (
         SELECT FROM pg_catalog.pg_inherits i
           JOIN pg_catalog.pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname
          WHERE i.inhrelid = a.attrelid AND p.{what} <> a.{what})"
        )
    };
    let storage = format!(
        "CASE WHEN {} THEN '' ELSE t.typstorage::text END",
        below_another("attstorage")
    );
    let compression = if version.at_least(14) {
        let below_another = below_another("attcompression");
        format!(
            "CASE WHEN a.attcompression = '' AND {below_another} THEN 'd' ELSE a.attcompression::text END"
        )
    } else {
        "''::text".to_owned()
    };
    let (not_null, not_null_join) = if version.at_least(18) {
        (
            "nn.oid, nn.conname::text, nn.conislocal, nn.connoinherit, nn.convalidated,
       nd.description",
            "
  LEFT JOIN pg_catalog.pg_constraint nn
    ON nn.conrelid = a.attrelid AND nn.contype = 'n' AND nn.conkey[1] = a.attnum
  LEFT JOIN pg_catalog.pg_description nd
    ON nd.classoid = 2606 AND nd.objoid = nn.oid AND nd.objsubid = 0",
        )
    } else {
        (
            "NULL::oid, NULL::text, NULL::bool, NULL::bool, NULL::bool, NULL::text",
            "",
        )
    };
    format!(
        "\
SELECT a.attrelid, rc.relnatts, a.attnum::int4, a.attname::text,
       pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, a.attislocal,
       cn.nspname::text, co.collname::text,
       d.oid,
       pg_catalog.pg_get_expr(d.adbin, CASE WHEN a.attgenerated = '' THEN 0 ELSE d.adrelid END),
       a.attgenerated::text, a.attidentity::text, a.attnotnull, a.attstattarget::int4,
       a.attstorage::text, {storage}, {compression},
       a.attoptions, a.attfdwoptions, a.attacl::text[], ip.initprivs::text[],
       {not_null}
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_attribute a
    ON a.attrelid = src.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_class rc ON rc.oid = a.attrelid
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_collation co
    ON co.oid = a.attcollation AND a.attcollation <> t.typcollation
  LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_catalog.pg_init_privs ip
    ON ip.classoid = 1259 AND ip.objoid = a.attrelid AND ip.objsubid = a.attnum{not_null_join}
 WHERE NOT $2::bool OR a.attacl IS NOT NULL OR ip.initprivs IS NOT NULL"
    )
}

/// Privileges on system columns of all relations, and on all columns of sequences. There are few;
/// to ask for them relation by relation would cost more.
const SYSTEM_COLUMN_PRIVILEGES: &str = "\
SELECT a.attrelid, a.attname::text, a.attacl::text[], ip.initprivs::text[]
  FROM (SELECT attrelid, attnum FROM pg_catalog.pg_attribute WHERE attacl IS NOT NULL
        UNION SELECT objoid, objsubid::int2 FROM pg_catalog.pg_init_privs
         WHERE classoid = 1259 AND objsubid <> 0) has
  JOIN pg_catalog.pg_class c ON c.oid = has.attrelid
  JOIN pg_catalog.pg_attribute a
    ON a.attrelid = c.oid AND a.attnum = has.attnum AND (a.attnum < 0 OR c.relkind = 'S')
  LEFT JOIN pg_catalog.pg_init_privs ip
    ON ip.classoid = 1259 AND ip.objoid = a.attrelid AND ip.objsubid = a.attnum
 ORDER BY a.attrelid, a.attnum DESC";

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("columns", columns(version)),
        (
            "system column privileges",
            SYSTEM_COLUMN_PRIVILEGES.to_owned(),
        ),
    ]
}

/// Fills the columns of interesting relations. Of others whose privileges are wanted (extensions'
/// and the system's), only the columns that have privileges of their own.
///
/// # Errors
/// The server's; an expression that cannot be deparsed any more.
pub(crate) async fn read(
    reader: &Reader<'_>,
    relations: &mut [Relation],
    interesting: &HashSet<Oid>,
) -> Result<()> {
    let mut whole = Vec::new();
    let mut privileges_only = Vec::new();
    for relation in relations.iter() {
        let oid = relation.header.address.oid;
        match relation.kind {
            RelationKind::Sequence | RelationKind::Composite => {}
            _ if interesting.contains(&oid) => whole.push(oid),
            _ if relation.header.wanted.has(Components::ACL) => privileges_only.push(oid),
            _ => {}
        }
    }
    let index = by_oid(relations);
    let sql = columns(reader.version);
    for (oids, only) in [(&whole, false), (&privileges_only, true)] {
        if oids.is_empty() {
            continue;
        }
        let take = |fields: &mut Fields<'_>| {
            if let Some(&at) = index.get(&fields.next()?) {
                let count: i16 = fields.next()?;
                let column = column(reader, fields, &relations[at])?;
                let columns = &mut relations[at].columns;
                if columns.is_empty() && !only {
                    columns.reserve_exact(usize::try_from(count).unwrap_or(0));
                }
                columns.push(column);
            }
            Ok(())
        };
        reader.each("columns", &sql, &[oids, &only], take).await?;
    }
    for relation in relations.iter_mut() {
        relation.columns.sort_by_key(|column| column.number);
    }
    system_columns(reader, relations, &index).await?;
    judge_not_nulls(relations, &index);
    binary_safe::mark(reader, relations).await
}

fn column(reader: &Reader<'_>, fields: &mut Fields<'_>, relation: &Relation) -> Result<Column> {
    let number: i32 = fields.next()?;
    let name: String = fields.next()?;
    let place = || format!("column {}.{name}", relation.header.sql_name());
    let unknown =
        |what: &str| Error::new(Kind::Failed, format!("{}: {what} is not known", place()));
    let type_sql = fields.deparsed(|| format!("the type of {}", place()))?;
    let type_oid = fields.next()?;
    let local = fields.next()?;
    let collation_schema: Option<String> = fields.next()?;
    let collation_name: Option<String> = fields.next()?;
    let default_oid: Option<Oid> = fields.next()?;
    let default = if let Some(oid) = default_oid {
        let expression = fields.deparsed(|| format!("the default of {}", place()))?;
        Some(Default { oid, expression })
    } else {
        fields.next::<Option<Cow<'_, str>>>()?;
        None
    };
    let generated = match fields.next::<&str>()? {
        "" => None,
        "s" => Some(Generated::Stored),
        "v" => Some(Generated::Virtual),
        other => return Err(unknown(&format!("generation {other}"))),
    };
    let identity = match fields.next::<&str>()? {
        "" => None,
        "a" => Some(Identity::Always),
        "d" => Some(Identity::ByDefault),
        other => return Err(unknown(&format!("identity {other}"))),
    };
    let is_not_null: bool = fields.next()?;
    let statistics_target = fields.next::<Option<i32>>()?.filter(|&target| target >= 0);
    let stored: &str = fields.next()?;
    let stored_by_type: &str = fields.next()?;
    let storage = if stored == stored_by_type || relation.kind == RelationKind::View {
        None
    } else {
        Some(match stored {
            "p" => "PLAIN",
            "e" => "EXTERNAL",
            "m" => "MAIN",
            "x" => "EXTENDED",
            other => return Err(unknown(&format!("storage {other}"))),
        })
    };
    let compression = match fields.next::<&str>()? {
        "" => None,
        "d" => Some("default"),
        "p" => Some("pglz"),
        "l" => Some("lz4"),
        other => return Err(unknown(&format!("compression {other}"))),
    };
    let compression = compression.filter(|_| !reader.leave_out.toast_compression);
    let mut column_options = options(fields.next()?);
    column_options.retain(|(name, _)| name != SERVERS_OWN_OPTION);
    let mut foreign_options = options(fields.next()?);
    foreign_options.sort();
    let current: Option<Vec<String>> = fields.next()?;
    let initial: Option<Vec<String>> = fields.next()?;
    let acl = acl_of(current, initial)?;
    let oid: Option<Oid> = fields.next()?;
    let constraint: Option<String> = fields.next()?;
    let is_local: Option<bool> = fields.next()?;
    let no_inherit: Option<bool> = fields.next()?;
    let validated: Option<bool> = fields.next()?;
    let comment = fields.next()?;
    let not_null = is_not_null.then_some(NotNull {
        oid,
        name: constraint,
        local: is_local.unwrap_or(true),
        no_inherit: no_inherit.unwrap_or(false),
        validated: validated.unwrap_or(true),
        comment,
    });
    let settings = ColumnSettings {
        collation: collation_schema.zip(collation_name).map(|(schema, name)| {
            reader
                .quoting
                .scope(|| crate::sql::qualified(&schema, &name))
        }),
        statistics_target,
        storage,
        compression,
        options: column_options,
        foreign_options,
        acl,
    };
    Ok(Column {
        number,
        name,
        type_sql,
        type_oid,
        local,
        default,
        generated,
        identity,
        not_null,
        settings: settings.unless_empty(),
        sent_as: None,
    })
}

/// Privileges on `ctid` and its like, of relations whose privileges are wanted.
async fn system_columns(
    reader: &Reader<'_>,
    relations: &mut [Relation],
    index: &HashMap<Oid, usize>,
) -> Result<()> {
    const WHAT: &str = "system column privileges";
    let wanted = |relation: &Relation| relation.header.wanted.has(Components::ACL);
    if !relations.iter().any(wanted) {
        return Ok(());
    }
    for row in reader.rows(WHAT, SYSTEM_COLUMN_PRIVILEGES, &[]).await? {
        let mut fields = Fields::of(&row);
        let Some(&at) = index.get(&fields.next()?) else {
            continue;
        };
        if !wanted(&relations[at]) {
            continue;
        }
        let name: String = fields.next()?;
        let acl = acl_of(fields.next()?, fields.next()?)?;
        relations[at].system_columns.push((name, acl));
    }
    Ok(())
}

/// A column starts without privileges of its own: none stored is the same as none given.
fn acl_of(current: Option<Vec<String>>, initial: Option<Vec<String>>) -> Result<Acl> {
    let current = match (current, &initial) {
        (None, Some(_)) => Some(Vec::new()),
        (current, _) => current,
    };
    acl::parse(current, initial.unwrap_or_default())
}

/// Before 18 the catalogs do not say where a NOT NULL was declared: it counts as inherited when a
/// parent has it.
fn judge_not_nulls(relations: &mut [Relation], index: &HashMap<Oid, usize>) {
    let mut inherited = Vec::new();
    for (at, relation) in relations.iter().enumerate() {
        if relation.parents.is_empty() {
            continue;
        }
        for (place, column) in relation.columns.iter().enumerate() {
            if column.not_null.as_ref().is_none_or(|own| own.oid.is_some()) {
                continue;
            }
            let mut parents = relation
                .parents
                .iter()
                .filter_map(|parent| index.get(&parent.oid))
                .filter_map(|&at| {
                    let mut columns = relations[at].columns.iter();
                    columns.find(|candidate| candidate.name == column.name)
                })
                .filter(|column| column.not_null.is_some());
            if parents.next().is_some() {
                inherited.push((at, place));
            }
        }
    }
    for (at, place) in inherited {
        if let Some(not_null) = &mut relations[at].columns[place].not_null {
            not_null.local = false;
        }
    }
}
