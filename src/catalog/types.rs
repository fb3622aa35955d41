//! Types of every sort. Array and multirange types are read because dependencies run through them, not
//! to be written. Rowtypes of tables, views and sequences, and arrays of them, come with the relations.

use super::context::{Reader, vanished};
use super::row::Row;
use super::select::Selected;
use super::{acl, init_privs};
use crate::error::{Error, Kind, Result};
use crate::model::{
    Address, BaseType, Class, Components, CompositeColumn, Constructor, Domain, DomainConstraint,
    DomainDefault, Header, Oid, RangeType, Type, TypeDefinition,
};
use crate::sql::{ServerVersion, literal};
use std::borrow::Cow;
use std::collections::HashMap;

/// All types but the system's own; of those the ones whose privileges were changed.
fn types(version: ServerVersion) -> String {
    let subscript = if version.at_least(14) {
        "CASE WHEN t.typsubscript <> 0 THEN t.typsubscript::regproc::text END AS subscript, \
         t.typsubscript::oid AS subscript_oid"
    } else {
        "NULL::text AS subscript, 0::oid AS subscript_oid"
    };
    // Of the deparsing functions only cheap ones are here, and only where they are needed.
    format!(
        "SELECT t.oid, n.nspname::text AS schema, t.typname::text AS name, t.typowner AS owner, \
         {columns}, t.typtype::text AS sort, t.typrelid AS relation, t.typisdefined AS defined, \
         t.typelem AS element, \
         ae.oid IS NOT NULL AS is_array, \
         CASE t.typtype WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END \
         AS base, \
         CASE WHEN t.typtype = 'd' AND t.typcollation <> 0 AND t.typcollation <> b.typcollation \
         THEN {collation} END AS collation, \
         t.typbasetype AS base_oid, t.typnotnull AS not_null, \
         pg_catalog.pg_get_expr(t.typdefaultbin, 'pg_catalog.pg_type'::regclass) \
         AS default_expression, \
         t.typdefault AS default_text, \
         b.typdefault AS base_default, b.typdefaultbin IS NULL AS base_default_is_text, \
         t.typlen::int4 AS length, t.typbyval AS by_value, t.typalign::text AS alignment, \
         t.typstorage::text AS storage, t.typcategory::text AS category, \
         t.typispreferred AS preferred, t.typdelim::text AS delimiter, \
         t.typcollation <> 0 AS collatable, \
         CASE WHEN t.typelem <> 0 AND t.typtype = 'b' \
         THEN pg_catalog.format_type(t.typelem, NULL) END AS element_name, \
         t.typlen > 0 AND NOT t.typbyval AND (SELECT e.typlen > 0 FROM pg_catalog.pg_type e \
         WHERE e.oid = t.typelem) AS is_row_of_elements, \
         CASE WHEN t.typtype = 'b' THEN ARRAY[ \
         t.typinput::regproc::text, t.typoutput::regproc::text, t.typreceive::regproc::text, \
         t.typsend::regproc::text, t.typmodin::regproc::text, t.typmodout::regproc::text, \
         t.typanalyze::regproc::text] END AS functions, \
         ARRAY[t.typinput::oid, t.typoutput::oid, t.typreceive::oid, t.typsend::oid, \
         t.typmodin::oid, t.typmodout::oid, t.typanalyze::oid] AS function_oids, \
         {subscript} \
         FROM pg_catalog.pg_type t \
         JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
         LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid AND c.relkind = 'c' \
         LEFT JOIN pg_catalog.pg_type ae ON ae.oid = t.typelem AND ae.typarray = t.oid \
         LEFT JOIN pg_catalog.pg_class ac ON ac.oid = ae.typrelid AND ac.relkind = 'c' \
         LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype \
         LEFT JOIN pg_catalog.pg_collation co ON co.oid = t.typcollation \
         LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace \
         {join} \
         WHERE (t.typrelid = 0 OR c.oid IS NOT NULL) \
         AND (coalesce(ae.typrelid, 0) = 0 OR ac.oid IS NOT NULL) \
         AND (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
         OR n.nspname IN ('pg_catalog', 'information_schema') \
         AND t.typacl IS DISTINCT FROM ip.initprivs)",
        columns = init_privs::columns("t.typacl", 'T', "t.typowner"),
        collation = QUALIFIED_COLLATION,
        join = init_privs::join("pg_type", "t"),
    )
}

const QUALIFIED_COLLATION: &str =
    "pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(co.collname)";

const ENUM_LABELS: &str = "\
SELECT enumtypid, enumlabel::text FROM pg_catalog.pg_enum \
ORDER BY enumtypid, enumsortorder";

fn composite_columns() -> String {
    format!(
        "SELECT a.attrelid AS relation, a.attnum::int4 AS number, a.attname::text AS name, \
         pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, \
         CASE WHEN a.attcollation <> at.typcollation THEN {QUALIFIED_COLLATION} END AS collation \
         FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
         JOIN pg_catalog.pg_type at ON at.oid = a.atttypid \
         LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation \
         LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace \
         WHERE c.relkind = 'c' AND a.attnum > 0 AND NOT a.attisdropped \
         AND c.oid >= 16384 \
         ORDER BY a.attrelid, a.attnum"
    )
}

fn ranges(version: ServerVersion) -> String {
    let (columns, join) = if version.at_least(14) {
        (
            "mn.nspname::text AS multirange_schema, m.typname::text AS multirange_name",
            "LEFT JOIN pg_catalog.pg_type m ON m.oid = r.rngmultitypid \
             LEFT JOIN pg_catalog.pg_namespace mn ON mn.oid = m.typnamespace",
        )
    } else {
        (
            "NULL::text AS multirange_schema, NULL::text AS multirange_name",
            "",
        )
    };
    let multirange = if version.at_least(14) {
        "r.rngmultitypid"
    } else {
        "0::oid"
    };
    let constructors = format!(
        "ARRAY(SELECT x.text FROM pg_catalog.pg_depend i \
         JOIN pg_catalog.pg_proc p ON p.oid = i.objid \
         JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace \
         JOIN pg_catalog.pg_type t ON t.oid = i.refobjid \
         JOIN pg_catalog.pg_type rt ON rt.oid = r.rngtypid \
         JOIN pg_catalog.pg_namespace tn ON tn.oid = rt.typnamespace \
         CROSS JOIN LATERAL unnest(ARRAY[tn.nspname::text, t.typname::text, pn.nspname::text, \
         p.proname::text, pg_catalog.pg_get_function_identity_arguments(p.oid), \
         (t.oid = {multirange})::text]) WITH ORDINALITY AS x(text, at) \
         WHERE i.refclassid = 'pg_catalog.pg_type'::regclass \
         AND i.refobjid IN (r.rngtypid, {multirange}) AND i.deptype = 'i' \
         AND i.classid = 'pg_catalog.pg_proc'::regclass \
         AND (p.proname, p.pronamespace) <> (t.typname, rt.typnamespace) \
         ORDER BY p.oid, x.at)"
    );
    format!(
        "SELECT r.rngtypid AS oid, {multirange} AS multirange, {constructors} AS constructors, \
         pg_catalog.format_type(r.rngsubtype, NULL) AS subtype, {columns}, \
         CASE WHEN NOT oc.opcdefault THEN pg_catalog.quote_ident(ocn.nspname) || '.' \
         || pg_catalog.quote_ident(oc.opcname) END AS operator_class, \
         CASE WHEN r.rngcollation <> st.typcollation THEN {QUALIFIED_COLLATION} END AS collation, \
         CASE WHEN r.rngcanonical <> 0 THEN r.rngcanonical::regproc::text END AS canonical, \
         r.rngcanonical::oid AS canonical_oid, \
         CASE WHEN r.rngsubdiff <> 0 THEN r.rngsubdiff::regproc::text END AS subtype_diff \
         FROM pg_catalog.pg_range r \
         JOIN pg_catalog.pg_type st ON st.oid = r.rngsubtype \
         JOIN pg_catalog.pg_opclass oc ON oc.oid = r.rngsubopc \
         JOIN pg_catalog.pg_namespace ocn ON ocn.oid = oc.opcnamespace \
         LEFT JOIN pg_catalog.pg_collation co ON co.oid = r.rngcollation \
         LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace \
         {join} \
         WHERE r.rngtypid >= 16384"
    )
}

/// `$1`: OIDs of the schemas whose definitions are wanted.
const DOMAIN_CONSTRAINTS: &str = "\
SELECT k.contypid AS domain, k.oid, k.conname::text AS name, k.contype = 'n' AS is_not_null, \
pg_catalog.pg_get_constraintdef(k.oid) AS definition, k.convalidated AS validated \
FROM pg_catalog.pg_constraint k \
JOIN pg_catalog.pg_type t ON t.oid = k.contypid \
WHERE k.contypid <> 0 AND t.typnamespace = ANY ($1::oid[]) AND k.contype IN ('c', 'n') \
ORDER BY k.contypid, k.conname";

/// What is kept apart from `pg_type`, by the type's OID (for composite types: the relation's).
#[derive(Default)]
struct Parts {
    labels: HashMap<Oid, Vec<String>>,
    columns: HashMap<Oid, Vec<CompositeColumn>>,
    ranges: HashMap<Oid, RangeType>,
    multiranges: HashMap<Oid, Oid>,
    constraints: HashMap<Oid, Vec<DomainConstraint>>,
}

/// Reads the types and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<Type>> {
    let mut parts = parts(reader, selected).await?;
    let rows = reader.rows("types", &types(reader.version), &[]).await?;
    rows.iter()
        .map(|row| read_type(reader, selected, row, &mut parts))
        .collect()
}

fn read_type(
    reader: &Reader<'_>,
    selected: &Selected,
    row: &Row,
    parts: &mut Parts,
) -> Result<Type> {
    let address = Address::new(Class::Type, row.get("oid"));
    let mut header = Header::new(address, row.get("schema"), row.get("name"));
    let definition = define(row, parts).map_err(|e| e.context(describe(&header)))?;
    let carries_dependencies_only = matches!(
        definition,
        TypeDefinition::Array { .. } | TypeDefinition::Multirange { .. }
    );
    if carries_dependencies_only {
        header.wanted = Components::NONE;
    } else {
        header.acl = acl::parse(row.get("acl"), row.get("acl_base"))?;
        header.owner = Some(reader.owner(row.get("owner"), &describe(&header))?);
        selected.mark(&mut header);
    }
    Ok(Type { header, definition })
}

fn describe(header: &Header) -> String {
    format!("type {}", header.sql_name())
}

fn define(row: &Row, parts: &mut Parts) -> Result<TypeDefinition> {
    let oid: Oid = row.get("oid");
    let relation: Oid = row.get("relation");
    if row.get("is_array") {
        return Ok(TypeDefinition::Array {
            element: row.get("element"),
        });
    }
    if !row.get::<_, bool>("defined") {
        return Ok(TypeDefinition::Shell);
    }
    let sort: &str = row.get("sort");
    Ok(match sort {
        "b" => TypeDefinition::Base(Box::new(base(row)?)),
        "c" => TypeDefinition::Composite {
            relation,
            columns: parts.columns.remove(&relation).unwrap_or_default(),
        },
        "e" => TypeDefinition::Enum(parts.labels.remove(&oid).unwrap_or_default()),
        "d" => TypeDefinition::Domain(Box::new(domain(row, parts)?)),
        "r" => TypeDefinition::Range(Box::new(
            parts
                .ranges
                .remove(&oid)
                .ok_or_else(|| vanished("its row in pg_range"))?,
        )),
        "m" => TypeDefinition::Multirange {
            range: parts
                .multiranges
                .get(&oid)
                .copied()
                .ok_or_else(|| vanished("its range type"))?,
        },
        // A pseudo-type; only the system has ones that are more than a shell.
        "p" => TypeDefinition::Shell,
        other => {
            return Err(Error::new(
                Kind::Failed,
                format!("types of the sort \"{other}\" are not known"),
            ));
        }
    })
}

fn domain(row: &Row, parts: &mut Parts) -> Result<Domain> {
    let constraints = parts
        .constraints
        .remove(&row.get("oid"))
        .unwrap_or_default();
    Ok(Domain {
        base: row
            .get::<_, Option<String>>("base")
            .ok_or_else(|| vanished("its base type"))?,
        base_oid: row.get("base_oid"),
        collation: row.get("collation"),
        default: domain_default(row),
        not_null: row.get::<_, bool>("not_null") && !constraints.iter().any(|c| c.is_not_null),
        constraints,
    })
}

/// CREATE DOMAIN takes the default of its base type unless it is given another.
fn domain_default(row: &Row) -> DomainDefault {
    let text: Option<Cow<'_, str>> = row.get("default_text");
    let base: Option<Cow<'_, str>> = row.get("base_default");
    match (row.get("default_expression"), text) {
        (Some(expression), _) => DomainDefault::Expression(expression),
        (None, Some(text)) if base.as_ref() == Some(&text) && row.get("base_default_is_text") => {
            DomainDefault::OfBase
        }
        (None, Some(text)) => DomainDefault::Expression(literal(&text)),
        (None, None) if base.is_some() => DomainDefault::Dropped,
        (None, None) => DomainDefault::OfBase,
    }
}

fn base(row: &Row) -> Result<BaseType> {
    let mut options: Vec<(&'static str, String)> = Vec::new();
    let mut option = |name, value: String| options.push((name, value));
    let length: i32 = row.get("length");
    if length >= 0 {
        option("INTERNALLENGTH", length.to_string());
    } else {
        option("INTERNALLENGTH", "VARIABLE".to_owned());
    }
    let names: Vec<String> = row.get("functions");
    let oids: Vec<Oid> = row.get("function_oids");
    let keys = [
        "INPUT",
        "OUTPUT",
        "RECEIVE",
        "SEND",
        "TYPMOD_IN",
        "TYPMOD_OUT",
        "ANALYZE",
    ];
    for ((key, name), &oid) in keys.into_iter().zip(names).zip(&oids) {
        if oid != 0 {
            option(key, name);
        }
    }
    let mut functions: Vec<Oid> = oids.into_iter().filter(|&oid| oid != 0).collect();
    if let Some(subscript) = row.get::<_, Option<String>>("subscript") {
        option("SUBSCRIPT", subscript);
        functions.push(row.get("subscript_oid"));
    }
    if row.get("collatable") {
        option("COLLATABLE", "true".to_owned());
    }
    match (
        row.get::<_, Option<String>>("default_expression"),
        row.get::<_, Option<Cow<'_, str>>>("default_text"),
    ) {
        (Some(expression), _) => option("DEFAULT", expression),
        (None, Some(text)) => option("DEFAULT", literal(&text)),
        (None, None) => {}
    }
    let mut has_loose_elements = false;
    if let Some(element) = row.get::<_, Option<String>>("element_name") {
        option("ELEMENT", element);
        let is_row: Option<bool> = row.get("is_row_of_elements");
        let subscript: Option<Cow<'_, str>> = row.get("subscript");
        has_loose_elements = is_row != Some(true) && subscript.is_none();
    }
    let category: Cow<'_, str> = row.get("category");
    if category != "U" {
        option("CATEGORY", literal(&category));
    }
    if row.get("preferred") {
        option("PREFERRED", "true".to_owned());
    }
    let delimiter: Cow<'_, str> = row.get("delimiter");
    if delimiter != "," {
        option("DELIMITER", literal(&delimiter));
    }
    let alignment = match row.get("alignment") {
        "c" => "char",
        "s" => "int2",
        "i" => "int4",
        "d" => "double",
        other => return Err(unknown("alignment", other)),
    };
    option("ALIGNMENT", alignment.to_owned());
    let storage = match row.get("storage") {
        "p" => "plain",
        "e" => "external",
        "x" => "extended",
        "m" => "main",
        other => return Err(unknown("storage", other)),
    };
    if storage != "plain" {
        option("STORAGE", storage.to_owned());
    }
    if row.get("by_value") {
        option("PASSEDBYVALUE", "true".to_owned());
    }
    Ok(BaseType {
        options,
        functions,
        has_loose_elements,
    })
}

fn unknown(what: &str, letter: &str) -> Error {
    Error::new(
        Kind::Failed,
        format!("its {what} \"{letter}\" is not known"),
    )
}

async fn parts(reader: &Reader<'_>, selected: &Selected) -> Result<Parts> {
    let mut parts = Parts::default();
    for row in reader.rows("enum labels", ENUM_LABELS, &[]).await? {
        parts.labels.entry(row.get(0)).or_default().push(row.get(1));
    }
    let columns = reader
        .rows("columns of composite types", &composite_columns(), &[])
        .await?;
    for row in columns {
        let column = CompositeColumn {
            number: row.get("number"),
            name: row.get("name"),
            type_sql: row.get("type"),
            collation: row.get("collation"),
        };
        parts
            .columns
            .entry(row.get("relation"))
            .or_default()
            .push(column);
    }
    for row in reader
        .rows("range types", &ranges(reader.version), &[])
        .await?
    {
        let oid = row.get("oid");
        let multirange: Oid = row.get("multirange");
        if multirange != 0 {
            parts.multiranges.insert(multirange, oid);
        }
        let pair = |a: Option<String>, b: Option<String>| a.zip(b);
        let range = RangeType {
            subtype: row.get("subtype"),
            multirange: pair(row.get("multirange_schema"), row.get("multirange_name")),
            operator_class: row.get("operator_class"),
            collation: row.get("collation"),
            canonical: row
                .get::<_, Option<String>>("canonical")
                .map(|name| (name, row.get("canonical_oid"))),
            subtype_diff: row.get("subtype_diff"),
            constructors: constructors(&row.get::<_, Vec<String>>("constructors")),
        };
        parts.ranges.insert(oid, range);
    }
    let constraints = reader
        .rows(
            "domain constraints",
            DOMAIN_CONSTRAINTS,
            &[&selected.defined_schemas()],
        )
        .await?;
    for row in constraints {
        let constraint = DomainConstraint {
            oid: row.get("oid"),
            name: row.get("name"),
            definition: row
                .get::<_, Option<String>>("definition")
                .ok_or_else(|| vanished("the definition of a domain's constraint"))?,
            is_not_null: row.get("is_not_null"),
            validated: row.get("validated"),
            comment: None,
        };
        parts
            .constraints
            .entry(row.get("domain"))
            .or_default()
            .push(constraint);
    }
    Ok(parts)
}

/// Constructors, of six texts each.
fn constructors(texts: &[String]) -> Vec<Constructor> {
    let (each, _) = texts.as_chunks::<6>();
    let constructor = |[schema, name, own_schema, own_name, arguments, is_multirange]: &[String;
                            6]| {
        Constructor {
            made: (schema.clone(), name.clone()),
            own: (own_schema.clone(), own_name.clone()),
            arguments: arguments.clone(),
            is_multirange: is_multirange == "true",
        }
    };
    each.iter().map(constructor).collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("types", types(version)),
        ("enum labels", ENUM_LABELS.to_owned()),
        ("columns of composite types", composite_columns()),
        ("range types", ranges(version)),
        ("domain constraints", DOMAIN_CONSTRAINTS.to_owned()),
    ]
}
