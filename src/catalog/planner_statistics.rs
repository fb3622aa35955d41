//! Planner statistics: of which relations there are any to read, and the queries that read them,
//! some relations at a time.
//!
//! They are read by the sessions that read rows, so that the queries are handed out as text; all
//! that is in it is OIDs, and names as literals.

use super::context::{Fields, Reader};
use super::relations::by_oid;
use crate::error::Result;
use crate::model::{Components, Oid, PlannerStatistics, Relation, RelationKind};
use crate::sql::{ServerVersion, literal};

/// Usable indexes of the relations `$1` that belong to no extension, and whether they have columns
/// of their own, which are expressions.
const INDEXES: &str = "\
SELECT i.indrelid, i.indexrelid, ic.relname::text,
       CASE WHEN i.indexprs IS NULL THEN 0 ELSE i.indnatts::int4 END
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_index i ON i.indrelid = src.oid
  JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
 WHERE i.indisready AND (i.indisvalid OR ic.relkind = 'I')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 1259 AND d.objid = i.indexrelid AND d.deptype = 'e')
 ORDER BY i.indrelid, ic.relname";

/// Names in `pg_stats` and the first major that has them.
const COLUMN_VALUES: [(&str, u32); 13] = [
    ("null_frac", 0),
    ("avg_width", 0),
    ("n_distinct", 0),
    ("most_common_vals", 0),
    ("most_common_freqs", 0),
    ("histogram_bounds", 0),
    ("correlation", 0),
    ("most_common_elems", 0),
    ("most_common_elem_freqs", 0),
    ("elem_count_histogram", 0),
    ("range_length_histogram", 17),
    ("range_empty_frac", 17),
    ("range_bounds_histogram", 17),
];

/// Names in `pg_class` and the first major that has them.
const RELATION_VALUES: [(&str, u32); 4] = [
    ("relpages", 0),
    ("reltuples", 0),
    ("relallvisible", 0),
    ("relallfrozen", 18),
];

fn known(
    values: &'static [(&'static str, u32)],
    version: ServerVersion,
) -> impl Iterator<Item = &'static str> {
    let known = values
        .iter()
        .filter(move |(_, since)| version.at_least(*since));
    known.map(|(name, _)| *name)
}

/// The values of a column that a server of this version has, by their names in `pg_stats`.
pub fn column_values(version: ServerVersion) -> Vec<&'static str> {
    known(&COLUMN_VALUES, version).collect()
}

/// The values of a relation that a server of this version has, by their names in `pg_class`.
pub fn relation_values(version: ServerVersion) -> Vec<&'static str> {
    known(&RELATION_VALUES, version).collect()
}

/// A query for relations: for each that is still there its position in the list, the number of its
/// columns whose statistics the role may not read, and its [`relation_values`].
pub fn relations_query(relations: &[PlannerStatistics], version: ServerVersion) -> String {
    let values: Vec<String> = known(&RELATION_VALUES, version)
        .map(|name| format!("c.{name}"))
        .collect();
    let oids: Vec<String> = relations.iter().map(|r| r.relation.to_string()).collect();
    // What pg_stats itself asks for. An index has statistics of its expressions only.
    format!(
        "SELECT src.at - 1, (\
           SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a \
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
              AND (c.relkind NOT IN ('i', 'I') OR EXISTS (\
                SELECT FROM pg_catalog.pg_index i \
                 WHERE i.indexrelid = c.oid AND i.indkey[a.attnum - 1] = 0)) \
              AND (NOT pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT') \
                OR c.relrowsecurity AND pg_catalog.row_security_active(c.oid))), {} \
           FROM unnest('{{{}}}'::oid[]) WITH ORDINALITY AS src(oid, at) \
           JOIN pg_catalog.pg_class c ON c.oid = src.oid \
          ORDER BY src.at",
        values.join(", "),
        oids.join(","),
    )
}

/// A query for the columns of relations: the relation's position in the list, the column's name
/// and number, whether its children's rows are counted, and its [`column_values`], which can be
/// null.
pub fn columns_query(relations: &[PlannerStatistics], version: ServerVersion) -> String {
    let values: Vec<String> = known(&COLUMN_VALUES, version)
        .map(|name| format!("s.{name}"))
        .collect();
    let array = |of: &mut dyn Iterator<Item = String>| of.collect::<Vec<_>>().join(", ");
    let oids = array(&mut relations.iter().map(|r| r.relation.to_string()));
    let schemas = array(&mut relations.iter().map(|r| literal(&r.schema)));
    let names = array(&mut relations.iter().map(|r| literal(&r.name)));
    // The view has no OID. Its condition on the table's name is what finds the rows by an index:
    // a join alone would have the whole view read.
    format!(
        "SELECT src.at - 1, s.attname, a.attnum, s.inherited, {} \
           FROM unnest('{{{oids}}}'::oid[], ARRAY[{schemas}]::name[], ARRAY[{names}]::name[]) \
                WITH ORDINALITY AS src(oid, schema, name, at) \
           JOIN pg_catalog.pg_stats s ON s.schemaname = src.schema AND s.tablename = src.name \
           JOIN pg_catalog.pg_attribute a ON a.attrelid = src.oid AND a.attname = s.attname \
          WHERE s.tablename = ANY (ARRAY[{names}]::name[]) \
          ORDER BY src.at, s.attname, s.inherited",
        values.join(", "),
    )
}

/// The relations whose statistics are wanted, by schema and name: each table before its indexes,
/// those by their names.
///
/// # Errors
/// The server's.
pub(crate) async fn read(
    reader: &Reader<'_>,
    relations: &[Relation],
) -> Result<Vec<PlannerStatistics>> {
    let wanted: Vec<&Relation> = relations
        .iter()
        .filter(|relation| relation.header.wanted.has(Components::STATISTICS))
        .collect();
    let indexed: Vec<Oid> = wanted
        .iter()
        .filter(|relation| relation.kind != RelationKind::ForeignTable)
        .map(|relation| relation.header.address.oid)
        .collect();
    let of = |relation: &Relation| PlannerStatistics {
        relation: relation.header.address.oid,
        schema: relation.header.schema.clone().unwrap_or_default(),
        name: relation.header.name.clone(),
        table: None,
        columns: relation.columns.len(),
    };
    let mut found: Vec<PlannerStatistics> = wanted.iter().map(|relation| of(relation)).collect();
    if !indexed.is_empty() {
        let index = by_oid(relations);
        for row in reader
            .rows("indexes with statistics", INDEXES, &[&indexed])
            .await?
        {
            let mut fields = Fields::of(&row);
            let Some(&at) = index.get(&fields.next()?) else {
                continue;
            };
            let table = of(&relations[at]);
            found.push(PlannerStatistics {
                relation: fields.next()?,
                name: fields.next()?,
                columns: usize::try_from(fields.next::<i32>()?).unwrap_or(0),
                table: Some(table.name),
                schema: table.schema,
            });
        }
    }
    found.sort_by(|a, b| key(a).cmp(&key(b)));
    Ok(found)
}

fn key(of: &PlannerStatistics) -> (&str, &str, Option<&str>) {
    let table = of.table.as_ref().unwrap_or(&of.name);
    let own = of.table.as_ref().map(|_| of.name.as_str());
    (&of.schema, table, own)
}

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    let some = [PlannerStatistics {
        relation: 1259,
        schema: String::from("pg_catalog"),
        name: String::from("pg_class"),
        table: None,
        columns: 1,
    }];
    vec![
        ("indexes with statistics", INDEXES.to_owned()),
        ("statistics of relations", relations_query(&some, version)),
        ("statistics of columns", columns_query(&some, version)),
    ]
}
