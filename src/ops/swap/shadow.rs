//! The new database, as long as it stands beside the old one.

use super::marker::Marker;
use crate::connect::Wire;
use crate::ddl;
use crate::error::{Error, Kind, Result, SqlState};
use crate::model::DatabaseProperties;
use crate::sql::{RESET_ROLE, back_to, ident, literal};

/// Makes a database like the old one, under this name. What would be in the way of filling it (the
/// connection limit, being a template) comes at the exchange. When it fails, nothing is left, or a
/// database whose comment says what it is.
pub(super) async fn make(
    wire: &mut Wire,
    old: &DatabaseProperties,
    name: &str,
    marker: &Marker,
    role: Option<&str>,
) -> Result<()> {
    let version = wire.server_version();
    let making = || format!("make database {}", ident(name));
    for statement in ddl::database::create(old, name, version) {
        run(wire, &statement)
            .await
            .map_err(|error| error.context(making()))?;
    }
    mark(wire, name, marker).await?;
    let bare = DatabaseProperties {
        connection_limit: None,
        is_template: false,
        ..old.clone()
    };
    let statements = ddl::database::owner(&bare, name)
        .into_iter()
        .chain(ddl::database::acl(&bare, name, version))
        .chain(ddl::database::labels(&bare, name))
        .chain(ddl::database::properties(&bare, name, version));
    for statement in statements {
        let statement = match statement.as_str() {
            RESET_ROLE => back_to(role),
            _ => statement,
        };
        run(wire, &statement)
            .await
            .map_err(|error| error.context(making()))?;
    }
    Ok(())
}

/// Writes down what the database is.
pub(super) async fn mark(wire: &mut Wire, name: &str, marker: &Marker) -> Result<()> {
    run(wire, &comment(name, Some(&marker.comment()))).await
}

/// The statement that sets the comment of a database.
pub(super) fn comment(name: &str, text: Option<&str>) -> String {
    let text = text.map_or("NULL".to_owned(), literal);
    format!("COMMENT ON DATABASE {} IS {text}", ident(name))
}

/// Drops it; sessions that are still ending are waited for by the server.
pub(super) async fn drop_it(wire: &mut Wire, name: &str) -> Result<()> {
    let statement = format!("DROP DATABASE IF EXISTS {}", ident(name));
    run(wire, &statement).await.map_err(|error| {
        if error.sqlstate() == Some(&SqlState::OBJECT_IN_USE) {
            error.with_kind(Kind::Refused).with_hint(
                "another run may be at work in it, or a lost one's sessions may still be ending: try \
                 again later, or end them with pg_terminate_backend",
            )
        } else {
            error
        }
    })
}

async fn run(wire: &mut Wire, statement: &str) -> Result<()> {
    let done = wire.execute(statement).await;
    done.map(|_| ())
        .map_err(|error: Error| error.with_statement(statement))
}
