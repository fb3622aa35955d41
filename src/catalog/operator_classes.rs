//! Operator classes and operator families, and their members.

use super::context::Reader;
use super::row::Row;
use super::select::{FIRST_NORMAL_OID, Selected};
use crate::error::{Error, Kind, Result};
use crate::model::{
    Address, Class, Components, FamilyMember, Header, Oid, OperatorClass, OperatorFamily,
};
use crate::sql::ServerVersion;
use std::collections::HashMap;

const CLASSES: &str = "\
SELECT c.oid, n.nspname::text AS schema, c.opcname::text AS name, c.opcowner AS owner, \
m.amname::text AS access_method, fn.nspname::text AS family_schema, f.opfname::text AS family, \
c.opcdefault AS is_default, pg_catalog.format_type(c.opcintype, NULL) AS input, \
CASE WHEN c.opckeytype <> 0 THEN pg_catalog.format_type(c.opckeytype, NULL) END AS storage \
FROM pg_catalog.pg_opclass c \
JOIN pg_catalog.pg_namespace n ON n.oid = c.opcnamespace \
JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod \
JOIN pg_catalog.pg_opfamily f ON f.oid = c.opcfamily \
JOIN pg_catalog.pg_namespace fn ON fn.oid = f.opfnamespace \
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// Families of the server's own are among them: somebody may have added to them.
const FAMILIES: &str = "\
SELECT f.oid, n.nspname::text AS schema, f.opfname::text AS name, f.opfowner AS owner, \
m.amname::text AS access_method, \
n.nspname ~ '^pg_' OR n.nspname = 'information_schema' AS of_system \
FROM pg_catalog.pg_opfamily f \
JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace \
JOIN pg_catalog.pg_am m ON m.oid = f.opfmethod";

/// What was added since initdb, with the class that it belongs to (none for members of the family
/// alone), in the order in which it was made. `is_own` means that the operator, the function or a
/// type is the user's, not the server's or an extension's.
fn members() -> String {
    let own = |parts: &str| {
        format!(
            "EXISTS (SELECT FROM (VALUES {parts}) AS p (class, oid) WHERE p.oid >= 16384 \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = p.class \
             AND e.objid = p.oid AND e.deptype IN ('e', 'i')))"
        )
    };
    let class = |catalog: &str| {
        format!(
            "LEFT JOIN pg_catalog.pg_depend d ON d.classid = '{catalog}'::regclass \
             AND d.objid = a.oid AND d.refclassid = 'pg_catalog.pg_opclass'::regclass"
        )
    };
    let types = |prefix: &str| {
        format!(
            "pg_catalog.format_type(a.{prefix}lefttype, NULL) AS left, \
             pg_catalog.format_type(a.{prefix}righttype, NULL) AS right"
        )
    };
    format!(
        "SELECT 1 AS sort, a.oid, a.amopfamily AS family, d.refobjid AS class, \
         a.amopstrategy AS number, a.amopopr::regoperator::text AS what, {operator_types}, \
         sn.nspname::text AS sort_schema, sf.opfname::text AS sort_family, {own_operator} AS is_own \
         FROM pg_catalog.pg_amop a {operator_class} \
         LEFT JOIN pg_catalog.pg_opfamily sf ON sf.oid = a.amopsortfamily \
         LEFT JOIN pg_catalog.pg_namespace sn ON sn.oid = sf.opfnamespace \
         WHERE a.oid >= 16384 \
         UNION ALL \
         SELECT 2, a.oid, a.amprocfamily, d.refobjid, a.amprocnum, \
         a.amproc::regprocedure::text, {function_types}, NULL, NULL, {own_function} \
         FROM pg_catalog.pg_amproc a {function_class} \
         WHERE a.oid >= 16384 \
         ORDER BY 1, 5, 2",
        operator_types = types("amop"),
        function_types = types("amproc"),
        operator_class = class("pg_catalog.pg_amop"),
        function_class = class("pg_catalog.pg_amproc"),
        own_operator = own("('pg_catalog.pg_operator'::regclass::oid, a.amopopr)"),
        own_function = own("('pg_catalog.pg_proc'::regclass::oid, a.amproc::oid), \
             ('pg_catalog.pg_type'::regclass::oid, a.amproclefttype), \
             ('pg_catalog.pg_type'::regclass::oid, a.amprocrighttype)"),
    )
}

/// Reads classes and families, with their members, and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn read(
    reader: &Reader<'_>,
    selected: &Selected,
) -> Result<(Vec<OperatorFamily>, Vec<OperatorClass>)> {
    const WHAT: &str = "operator classes";
    let mut of_class: HashMap<Oid, Vec<FamilyMember>> = HashMap::new();
    let mut of_family: HashMap<Oid, Vec<(FamilyMember, bool)>> = HashMap::new();
    for row in &reader.rows(WHAT, &members(), &[]).await? {
        let member = member(row)?;
        match row.get("class") {
            Some(class) => of_class.entry(class).or_default().push(member),
            None => of_family
                .entry(row.get("family"))
                .or_default()
                .push((member, row.get("is_own"))),
        }
    }
    let mut families = Vec::new();
    for row in &reader.rows(WHAT, FAMILIES, &[]).await? {
        let members = of_family.remove(&row.get("oid")).unwrap_or_default();
        families.extend(family(reader, selected, row, members)?);
    }
    let classes = reader
        .rows(WHAT, CLASSES, &[])
        .await?
        .iter()
        .map(|row| class(reader, selected, row, &mut of_class))
        .collect::<Result<_>>()?;
    Ok((families, classes))
}

fn member(row: &Row) -> Result<FamilyMember> {
    let types = (row.get("left"), row.get("right"));
    let number: i16 = row.get("number");
    let what: String = row.get("what");
    Ok(match row.get::<_, i32>("sort") {
        1 => {
            let (schema, family): (Option<String>, Option<String>) =
                (row.get("sort_schema"), row.get("sort_family"));
            FamilyMember::Operator {
                strategy: number,
                operator: what,
                types,
                order_by: schema.zip(family),
            }
        }
        2 => FamilyMember::Function {
            number,
            types,
            function: what,
        },
        other => {
            return Err(Error::new(
                Kind::Failed,
                format!("members of the sort {other} are not known"),
            ));
        }
    })
}

/// None for a family of the server's or of an extension that nobody added to.
fn family(
    reader: &Reader<'_>,
    selected: &Selected,
    row: &Row,
    members: Vec<(FamilyMember, bool)>,
) -> Result<Option<OperatorFamily>> {
    let address = Address::new(Class::OperatorFamily, row.get("oid"));
    let mut header = Header::new(address, row.get("schema"), row.get("name"));
    let access_method: String = row.get("access_method");
    let name = format!(
        "operator family {} USING {access_method}",
        header.sql_name()
    );
    selected.mark(&mut header);
    let of_system = row.get("of_system") || address.oid < FIRST_NORMAL_OID;
    let built_in = of_system || header.extension.is_some();
    let members: Vec<_> = members
        .into_iter()
        .filter(|(_, is_own)| *is_own || !built_in)
        .map(|(member, _)| member)
        .collect();
    if of_system && members.is_empty() {
        return Ok(None);
    }
    if built_in {
        // Additions live in no schema that could be chosen; they go with the whole database.
        header.wanted = if selected.everything() && selected.definitions() && !members.is_empty() {
            Components::DEFINITION
        } else {
            Components::NONE
        };
    } else {
        header.owner = Some(reader.owner(row.get("owner"), &name)?);
    }
    Ok(Some(OperatorFamily {
        header,
        access_method,
        built_in,
        members,
    }))
}

fn class(
    reader: &Reader<'_>,
    selected: &Selected,
    row: &Row,
    members: &mut HashMap<Oid, Vec<FamilyMember>>,
) -> Result<OperatorClass> {
    let oid = row.get("oid");
    let address = Address::new(Class::OperatorClass, oid);
    let mut header = Header::new(address, row.get("schema"), row.get("name"));
    let access_method: String = row.get("access_method");
    let name = format!("operator class {} USING {access_method}", header.sql_name());
    header.owner = Some(reader.owner(row.get("owner"), &name)?);
    selected.mark(&mut header);
    Ok(OperatorClass {
        header,
        access_method,
        family: (row.get("family_schema"), row.get("family")),
        is_default: row.get("is_default"),
        input: row.get("input"),
        storage: row.get("storage"),
        members: members.remove(&oid).unwrap_or_default(),
    })
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("operator classes", CLASSES.to_owned()),
        ("operator families", FAMILIES.to_owned()),
        ("members of operator families", members()),
    ]
}
