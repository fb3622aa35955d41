//! Extended statistics.

use super::context::{Fields, Reader};
use super::parts;
use super::relations::by_oid;
use crate::error::Result;
use crate::model::RelationKind;
use crate::model::{Address, Class, Components, ExtendedStatistics, Header, Relation, Schema};
use crate::sql::ServerVersion;

/// Extended statistics of the relations `$1`, with the extension that they are a member of.
const STATISTICS: &str = "\
SELECT s.stxrelid, s.oid, n.nspname::text, s.stxname::text, s.stxowner,
       pg_catalog.pg_get_statisticsobjdef(s.oid), s.stxstattarget::int4, d.refobjid
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = src.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
  LEFT JOIN pg_catalog.pg_depend d
    ON d.classid = 3381 AND d.objid = s.oid AND d.deptype = 'e' AND d.refclassid = 3079
 ORDER BY n.nspname, s.stxname";

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("extended statistics", STATISTICS.to_owned())]
}

/// The extended statistics of relations whose definition is wanted. They may live in another
/// schema than the table: then that one must be wanted too.
///
/// # Errors
/// The server's; statistics that were dropped since the snapshot; an owner that does not exist.
pub(crate) async fn read(
    reader: &Reader<'_>,
    schemas: &[Schema],
    relations: &[Relation],
) -> Result<Vec<ExtendedStatistics>> {
    let tables = parts::defined(relations, |kind| {
        matches!(
            kind,
            RelationKind::Table
                | RelationKind::PartitionedTable
                | RelationKind::MaterializedView
                | RelationKind::ForeignTable
        )
    });
    let mut found = Vec::new();
    if tables.is_empty() {
        return Ok(found);
    }
    let index = by_oid(relations);
    for row in reader
        .rows("extended statistics", STATISTICS, &[&tables])
        .await?
    {
        let mut fields = Fields::of(&row);
        let Some(&at) = index.get(&fields.next()?) else {
            continue;
        };
        let table = &relations[at];
        let address = Address::new(Class::Statistics, fields.next()?);
        let schema: String = fields.next()?;
        let mut header = Header::new(address, Some(schema), fields.next()?);
        let name = format!("statistics {}", header.sql_name());
        header.owner = Some(reader.owner(fields.next()?, &name)?);
        let definition = fields.deparsed(|| name.clone())?;
        let target = fields.next::<Option<i32>>()?.filter(|&target| target >= 0);
        header.extension = fields.next()?;
        let schema_wanted = header.schema == table.header.schema
            || schemas.iter().any(|schema| {
                Some(&schema.header.name) == header.schema.as_ref()
                    && schema.header.wanted.has(Components::DEFINITION)
            });
        if schema_wanted && header.extension.is_none() {
            header.wanted =
                parts::header(table, Class::Statistics, address.oid, String::new()).wanted;
        }
        found.push(ExtendedStatistics {
            header,
            table: table.header.address.oid,
            definition,
            target,
        });
    }
    Ok(found)
}
