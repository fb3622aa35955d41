//! Event triggers.

use super::context::Reader;
use super::parts;
use super::select::Selected;
use crate::error::Result;
use crate::model::{Address, Class, EventTrigger, Header};
use crate::sql::ServerVersion;

const EVENT_TRIGGERS: &str = "\
SELECT e.oid, e.evtname::text AS name, e.evtowner AS owner, e.evtevent::text AS event, \
e.evtfoid::regproc::text AS function, e.evtenabled::text AS enabled, \
coalesce(e.evttags, '{}') AS tags \
FROM pg_catalog.pg_event_trigger e";

/// Reads the event triggers and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist; a state that is not known.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<EventTrigger>> {
    let rows = reader.rows("event triggers", EVENT_TRIGGERS, &[]).await?;
    rows.iter()
        .map(|row| {
            let address = Address::new(Class::EventTrigger, row.get("oid"));
            let mut header = Header::new(address, None, row.get("name"));
            let name = format!("event trigger {}", header.sql_name());
            header.owner = Some(reader.owner(row.get("owner"), &name)?);
            selected.mark(&mut header);
            Ok(EventTrigger {
                header,
                event: row.get("event"),
                function: row.get("function"),
                tags: row.get("tags"),
                enabled: parts::state(row.get("enabled"))?,
            })
        })
        .collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("event triggers", EVENT_TRIGGERS.to_owned())]
}
