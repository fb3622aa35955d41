//! Procedural languages. Of those that initdb or an extension made, only changed privileges count.

use super::context::Reader;
use super::select::{FIRST_NORMAL_OID, Selected};
use super::{acl, init_privs};
use crate::error::Result;
use crate::model::{Address, Class, Components, Header, Language};
use crate::sql::ServerVersion;

fn languages() -> String {
    format!(
        "SELECT l.oid, l.lanname::text AS name, l.lanowner AS owner, {columns}, \
         l.lanpltrusted AS trusted, \
         CASE WHEN l.lanplcallfoid <> 0 THEN l.lanplcallfoid::regproc::text END AS handler, \
         CASE WHEN l.laninline <> 0 THEN l.laninline::regproc::text END AS inline, \
         CASE WHEN l.lanvalidator <> 0 THEN l.lanvalidator::regproc::text END AS validator \
         FROM pg_catalog.pg_language l {join}",
        columns = init_privs::columns("l.lanacl", 'l', "l.lanowner"),
        join = init_privs::join("pg_language", "l"),
    )
}

/// Reads the languages and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<Language>> {
    let rows = reader.rows("languages", &languages(), &[]).await?;
    rows.iter()
        .map(|row| {
            let address = Address::new(Class::Language, row.get("oid"));
            let mut header = Header::new(address, None, row.get("name"));
            let name = format!("language {}", header.sql_name());
            header.owner = Some(reader.owner(row.get("owner"), &name)?);
            header.acl = acl::parse(row.get("acl"), row.get("acl_base"))?;
            selected.mark(&mut header);
            if address.oid < FIRST_NORMAL_OID {
                header.wanted = if header.acl.differs() {
                    header.wanted.only(Components::ACL)
                } else {
                    Components::NONE
                };
            }
            Ok(Language {
                header,
                trusted: row.get("trusted"),
                handler: row.get("handler"),
                inline: row.get("inline"),
                validator: row.get("validator"),
            })
        })
        .collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("languages", languages())]
}
