//! The second step of reading relations: everything about the selected ones, after they have been
//! locked.

use super::context::Reader;
use super::{
    columns, foreign_keys, indexes, policies, relations, rules, sequences, statistics, triggers,
};
use crate::error::Result;
use crate::model::Database;

/// Fills what `relations::list` left empty, for relations that are wanted and for their
/// ancestors: columns, views, sequences' values; and reads triggers, rules, policies and
/// extended statistics of what is wanted.
///
/// One bulk query per catalog. Comments and labels of what has a header are left to the caller.
///
/// # Errors
/// The server's; an object that was dropped since the snapshot; a sequence that may not be read.
pub(crate) async fn read(reader: &Reader<'_>, database: &mut Database) -> Result<()> {
    let interesting = relations::interesting(&database.relations);
    let relations = &mut database.relations;
    relations::complete(reader, relations, &interesting).await?;
    columns::read(reader, relations, &interesting).await?;
    sequences::read(reader, relations).await?;
    database.triggers = triggers::read(reader, relations).await?;
    database.rules = rules::read(reader, relations).await?;
    database.policies = policies::read(reader, relations).await?;
    database.statistics = statistics::read(reader, &database.schemas, relations).await?;
    Ok(())
}

/// The queries of all the relation families, by name.
pub(crate) fn queries(version: crate::sql::ServerVersion) -> Vec<(&'static str, String)> {
    [
        relations::queries,
        super::locks::queries,
        columns::queries,
        super::binary_safe::queries,
        super::checks::queries,
        sequences::queries,
        indexes::queries,
        foreign_keys::queries,
        triggers::queries,
        rules::queries,
        policies::queries,
        statistics::queries,
    ]
    .into_iter()
    .flat_map(|queries| queries(version))
    .collect()
}
