//! Publications, and the tables and schemas in them.

use super::context::Reader;
use super::parts;
use super::relations::by_oid;
use super::select::Selected;
use crate::error::Result;
use crate::model::{
    Address, Class, Components, Database, Extension, Header, Oid, Publication, PublicationSchema,
    PublicationTable, Relation, RelationKind, Schema,
};
use crate::sql::{ServerVersion, qualified};
use std::collections::{HashMap, HashSet};

fn publications(version: ServerVersion) -> String {
    let generated = if version.at_least(18) {
        "p.pubgencols = 's'"
    } else {
        "false"
    };
    format!(
        "SELECT p.oid, p.pubname::text AS name, p.pubowner AS owner, p.puballtables AS all_tables, \
         p.pubinsert AS insert, p.pubupdate AS update, p.pubdelete AS delete, \
         p.pubtruncate AS truncate, p.pubviaroot AS via_root, {generated} AS generated \
         FROM pg_catalog.pg_publication p"
    )
}

/// The relations `$1` in publications.
fn tables(version: ServerVersion) -> String {
    let (columns, filter) = if version.at_least(15) {
        (
            "ARRAY(SELECT a.attname::text FROM unnest(r.prattrs) WITH ORDINALITY AS c(number, at) \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = c.number \
             ORDER BY c.at)",
            "pg_catalog.pg_get_expr(r.prqual, r.prrelid)",
        )
    } else {
        ("'{}'::text[]", "NULL::text")
    };
    format!(
        "SELECT r.oid, r.prpubid AS publication, r.prrelid AS relation, {columns} AS columns, \
         {filter} AS filter \
         FROM pg_catalog.unnest($1::oid[]) AS src(oid) \
         JOIN pg_catalog.pg_publication_rel r ON r.prrelid = src.oid"
    )
}

/// Tables in publications that are none of `$1`.
const OTHER_TABLES: &str = "\
SELECT r.prpubid AS publication, n.nspname::text AS schema, c.relname::text AS name \
FROM pg_catalog.pg_publication_rel r \
JOIN pg_catalog.pg_class c ON c.oid = r.prrelid \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
WHERE r.prrelid <> ALL ($1::oid[]) ORDER BY 2, 3";

/// Schemas in publications, from 15 on.
const SCHEMAS: &str = "\
SELECT s.oid, s.pnpubid AS publication, s.pnnspid AS schema \
FROM pg_catalog.pg_publication_namespace s";

/// Reads the publications and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<Publication>> {
    let rows = reader
        .rows("publications", &publications(reader.version), &[])
        .await?;
    rows.iter()
        .map(|row| {
            let address = Address::new(Class::Publication, row.get("oid"));
            let mut header = Header::new(address, None, row.get("name"));
            let name = format!("publication {}", header.sql_name());
            header.owner = Some(reader.owner(row.get("owner"), &name)?);
            selected.mark(&mut header);
            Ok(Publication {
                header,
                all_tables: row.get("all_tables"),
                operations: ["insert", "update", "delete", "truncate"]
                    .into_iter()
                    .filter(|&operation| row.get(operation))
                    .collect(),
                via_partition_root: row.get("via_root"),
                generated_columns: row.get("generated"),
            })
        })
        .collect()
}

/// Publications that are wanted, by OID.
fn wanted(publications: &[Publication]) -> HashMap<Oid, &Publication> {
    publications
        .iter()
        .filter(|publication| publication.header.wanted.has(Components::DEFINITION))
        .map(|publication| (publication.header.address.oid, publication))
        .collect()
}

/// Reads what is in the publications, once it is known what is wanted of tables.
///
/// # Errors
/// The server's.
pub(crate) async fn members(
    reader: &Reader<'_>,
    selected: &Selected,
    database: &mut Database,
) -> Result<()> {
    let publications = &database.publications;
    database.publication_tables = of_tables(
        reader,
        publications,
        &database.relations,
        &database.extensions,
    )
    .await?;
    database.publication_schemas =
        of_schemas(reader, selected, publications, &database.schemas).await?;
    Ok(())
}

/// The memberships of tables whose definition is wanted, or that come with an extension which is,
/// in publications that are.
async fn of_tables(
    reader: &Reader<'_>,
    publications: &[Publication],
    relations: &[Relation],
    extensions: &[Extension],
) -> Result<Vec<PublicationTable>> {
    let wanted = wanted(publications);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let is_table = |kind| matches!(kind, RelationKind::Table | RelationKind::PartitionedTable);
    let mut published = parts::defined(relations, is_table);
    let made: HashSet<Oid> = extensions
        .iter()
        .filter(|extension| extension.header.wanted.has(Components::DEFINITION))
        .map(|extension| extension.header.address.oid)
        .collect();
    published.extend(
        relations
            .iter()
            .filter(|relation| is_table(relation.kind))
            .filter(|relation| {
                relation
                    .header
                    .extension
                    .is_some_and(|oid| made.contains(&oid))
            })
            .map(|relation| relation.header.address.oid),
    );
    let others = reader
        .rows("tables of publications", OTHER_TABLES, &[&published])
        .await?;
    for row in &others {
        if let Some(publication) = wanted.get(&row.get("publication")) {
            let (schema, name): (String, String) = (row.get("schema"), row.get("name"));
            let table = qualified(&schema, &name);
            warn_of_missing(reader, publication, &format!("table {table}"));
        }
    }
    let index = by_oid(relations);
    let query = tables(reader.version);
    let rows = reader
        .rows("tables of publications", &query, &[&published])
        .await?;
    let mut found = Vec::new();
    for row in &rows {
        let publication: Oid = row.get("publication");
        let (Some(publication), Some(&at)) =
            (wanted.get(&publication), index.get(&row.get("relation")))
        else {
            continue;
        };
        let table = &relations[at];
        let address = Address::new(Class::PublicationRelation, row.get("oid"));
        let mut header = Header::new(
            address,
            table.header.schema.clone(),
            table.header.name.clone(),
        );
        header.wanted = Components::DEFINITION;
        found.push(PublicationTable {
            header,
            publication: publication.header.name.clone(),
            publication_oid: publication.header.address.oid,
            table: table.header.address.oid,
            columns: row.get("columns"),
            filter: row.get("filter"),
        });
    }
    Ok(found)
}

/// The memberships of schemas whose definition is wanted in publications that are.
async fn of_schemas(
    reader: &Reader<'_>,
    selected: &Selected,
    publications: &[Publication],
    schemas: &[Schema],
) -> Result<Vec<PublicationSchema>> {
    let wanted = wanted(publications);
    if wanted.is_empty() || !reader.version.at_least(15) {
        return Ok(Vec::new());
    }
    let names: HashMap<Oid, &str> = schemas
        .iter()
        .filter(|schema| {
            selected
                .contained(&schema.header.name)
                .has(Components::DEFINITION)
        })
        .map(|schema| (schema.header.address.oid, schema.header.name.as_str()))
        .collect();
    let rows = reader.rows("schemas of publications", SCHEMAS, &[]).await?;
    let mut found = Vec::new();
    for row in &rows {
        let publication: Oid = row.get("publication");
        let schema: Oid = row.get("schema");
        let Some(publication) = wanted.get(&publication) else {
            continue;
        };
        let Some(&name) = names.get(&schema) else {
            let schema = schemas.iter().find(|s| s.header.address.oid == schema);
            if let Some(schema) = schema {
                let schema = format!("schema {}", schema.header.sql_name());
                warn_of_missing(reader, publication, &schema);
            }
            continue;
        };
        let address = Address::new(Class::PublicationSchema, row.get("oid"));
        let mut header = Header::new(address, Some(name.to_owned()), name.to_owned());
        header.wanted = Components::DEFINITION;
        found.push(PublicationSchema {
            header,
            publication: publication.header.name.clone(),
            publication_oid: publication.header.address.oid,
        });
    }
    Ok(found)
}

/// What is not in the archive cannot be in a publication that is restored from it.
fn warn_of_missing(reader: &Reader<'_>, publication: &Publication, member: &str) {
    reader.observer.warning(format!(
        "publication {} is dumped without {member}, which is not dumped",
        publication.header.sql_name()
    ));
}

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    let mut queries = vec![
        ("publications", publications(version)),
        ("tables of publications", tables(version)),
        ("other tables of publications", OTHER_TABLES.to_owned()),
    ];
    if version.at_least(15) {
        queries.push(("schemas of publications", SCHEMAS.to_owned()));
    }
    queries
}
