//! Text search parsers, templates, dictionaries and configurations.

use super::context::Reader;
use super::select::Selected;
use crate::error::Result;
use crate::model::{
    Address, Class, Header, Oid, TextSearchConfiguration, TextSearchDictionary, TextSearchParser,
    TextSearchTemplate,
};
use crate::sql::ServerVersion;
use std::collections::HashMap;

const PARSERS: &str = "\
SELECT p.oid, n.nspname::text AS schema, p.prsname::text AS name, \
p.prsstart::regproc::text AS start, p.prstoken::regproc::text AS token, \
p.prsend::regproc::text AS end, p.prslextype::regproc::text AS types, \
CASE WHEN p.prsheadline <> 0 THEN p.prsheadline::regproc::text END AS headline \
FROM pg_catalog.pg_ts_parser p \
JOIN pg_catalog.pg_namespace n ON n.oid = p.prsnamespace \
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

const TEMPLATES: &str = "\
SELECT t.oid, n.nspname::text AS schema, t.tmplname::text AS name, \
CASE WHEN t.tmplinit <> 0 THEN t.tmplinit::regproc::text END AS init, \
t.tmpllexize::regproc::text AS lexize \
FROM pg_catalog.pg_ts_template t \
JOIN pg_catalog.pg_namespace n ON n.oid = t.tmplnamespace \
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

const DICTIONARIES: &str = "\
SELECT d.oid, n.nspname::text AS schema, d.dictname::text AS name, d.dictowner AS owner, \
tn.nspname::text AS template_schema, t.tmplname::text AS template, d.dictinitoption AS options \
FROM pg_catalog.pg_ts_dict d \
JOIN pg_catalog.pg_namespace n ON n.oid = d.dictnamespace \
JOIN pg_catalog.pg_ts_template t ON t.oid = d.dicttemplate \
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.tmplnamespace \
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

const CONFIGURATIONS: &str = "\
SELECT c.oid, n.nspname::text AS schema, c.cfgname::text AS name, c.cfgowner AS owner, \
pn.nspname::text AS parser_schema, p.prsname::text AS parser \
FROM pg_catalog.pg_ts_config c \
JOIN pg_catalog.pg_namespace n ON n.oid = c.cfgnamespace \
JOIN pg_catalog.pg_ts_parser p ON p.oid = c.cfgparser \
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.prsnamespace \
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// `$1`: OIDs of the schemas whose definitions are wanted. The names of tokens are asked of the
/// parser, which is code: only where it is needed.
const MAPPINGS: &str = "\
SELECT c.oid, t.alias, \
pg_catalog.array_agg(m.mapdict::regdictionary::text ORDER BY m.mapseqno) \
FROM pg_catalog.pg_ts_config c \
CROSS JOIN LATERAL pg_catalog.ts_token_type(c.cfgparser) t \
JOIN pg_catalog.pg_ts_config_map m ON m.mapcfg = c.oid AND m.maptokentype = t.tokid \
WHERE c.cfgnamespace = ANY ($1::oid[]) \
GROUP BY c.oid, t.tokid, t.alias ORDER BY c.oid, t.tokid";

/// Reads the parsers and marks what is wanted.
///
/// # Errors
/// The server's.
pub(crate) async fn parsers(
    reader: &Reader<'_>,
    selected: &Selected,
) -> Result<Vec<TextSearchParser>> {
    let rows = reader.rows("text search parsers", PARSERS, &[]).await?;
    rows.iter()
        .map(|row| {
            let address = Address::new(Class::TextSearchParser, row.get("oid"));
            let mut header = Header::new(address, row.get("schema"), row.get("name"));
            selected.mark(&mut header);
            let options = [
                ("START", row.get("start")),
                ("GETTOKEN", row.get("token")),
                ("END", row.get("end")),
                ("HEADLINE", row.get("headline")),
                ("LEXTYPES", row.get("types")),
            ];
            let given = |(option, function): (_, Option<String>)| Some((option, function?));
            Ok(TextSearchParser {
                header,
                functions: options.into_iter().filter_map(given).collect(),
            })
        })
        .collect()
}

/// Reads the templates and marks what is wanted.
///
/// # Errors
/// The server's.
pub(crate) async fn templates(
    reader: &Reader<'_>,
    selected: &Selected,
) -> Result<Vec<TextSearchTemplate>> {
    let rows = reader.rows("text search templates", TEMPLATES, &[]).await?;
    rows.iter()
        .map(|row| {
            let address = Address::new(Class::TextSearchTemplate, row.get("oid"));
            let mut header = Header::new(address, row.get("schema"), row.get("name"));
            selected.mark(&mut header);
            Ok(TextSearchTemplate {
                header,
                init: row.get("init"),
                lexize: row.get("lexize"),
            })
        })
        .collect()
}

/// Reads the dictionaries and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn dictionaries(
    reader: &Reader<'_>,
    selected: &Selected,
) -> Result<Vec<TextSearchDictionary>> {
    let rows = reader
        .rows("text search dictionaries", DICTIONARIES, &[])
        .await?;
    rows.iter()
        .map(|row| {
            let address = Address::new(Class::TextSearchDictionary, row.get("oid"));
            let mut header = Header::new(address, row.get("schema"), row.get("name"));
            let name = format!("text search dictionary {}", header.sql_name());
            header.owner = Some(reader.owner(row.get("owner"), &name)?);
            selected.mark(&mut header);
            Ok(TextSearchDictionary {
                header,
                template: (row.get("template_schema"), row.get("template")),
                options: row.get("options"),
            })
        })
        .collect()
}

/// Reads the configurations and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn configurations(
    reader: &Reader<'_>,
    selected: &Selected,
) -> Result<Vec<TextSearchConfiguration>> {
    const WHAT: &str = "text search configurations";
    let mut mappings: HashMap<Oid, Vec<(String, Vec<String>)>> = HashMap::new();
    for row in &reader
        .rows(WHAT, MAPPINGS, &[&selected.defined_schemas()])
        .await?
    {
        let of_configuration = mappings.entry(row.get(0)).or_default();
        of_configuration.push((row.get(1), row.get(2)));
    }
    let rows = reader.rows(WHAT, CONFIGURATIONS, &[]).await?;
    rows.iter()
        .map(|row| {
            let oid: Oid = row.get("oid");
            let address = Address::new(Class::TextSearchConfiguration, oid);
            let mut header = Header::new(address, row.get("schema"), row.get("name"));
            let name = format!("text search configuration {}", header.sql_name());
            header.owner = Some(reader.owner(row.get("owner"), &name)?);
            selected.mark(&mut header);
            Ok(TextSearchConfiguration {
                header,
                parser: (row.get("parser_schema"), row.get("parser")),
                mappings: mappings.remove(&oid).unwrap_or_default(),
            })
        })
        .collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("text search parsers", PARSERS.to_owned()),
        ("text search templates", TEMPLATES.to_owned()),
        ("text search dictionaries", DICTIONARIES.to_owned()),
        ("text search configurations", CONFIGURATIONS.to_owned()),
        ("text search mappings", MAPPINGS.to_owned()),
    ]
}
