//! The second step of reading relations: everything about the selected ones, after they have been
//! locked.

use super::context::Reader;
use super::{
    columns, foreign_keys, indexes, policies, relations, rules, sequences, statistics, triggers,
};
use crate::error::Result;
use crate::model::Relation;

/// Fills what `relations::list` left empty, for relations that are wanted and for their
/// ancestors: columns, views, sequences' values.
///
/// One bulk query per catalog. Comments and labels of what has a header are left to the caller.
///
/// # Errors
/// The server's; an object that was dropped since the snapshot; a sequence that may not be read.
pub(crate) async fn complete(reader: &Reader<'_>, relations: &mut [Relation]) -> Result<()> {
    let interesting = relations::interesting(relations);
    relations::complete(reader, relations, &interesting).await?;
    columns::read(reader, relations, &interesting).await?;
    sequences::read(reader, relations).await
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
