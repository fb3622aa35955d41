//! CREATE SUBSCRIPTION, always unconnected: no slot is made, nothing is copied, and it stays
//! disabled until somebody enables it.
//!
//! Parameters are written as far as the source's own major knows them.

use crate::graph::Node;
use crate::model::{Components, Streaming, Subscription};
use crate::sql::{ident, literal};

use super::rendered::Rendered;
use super::{comment, label};

pub(super) fn render(node: Node, subscription: &Subscription) -> Rendered {
    let header = &subscription.header;
    let object = format!("SUBSCRIPTION {}", ident(&header.name));
    let mut rendered = Rendered::new(node, "SUBSCRIPTION", header);
    rendered.owner.clone_from(&header.owner);
    if header.wanted.has(Components::DEFINITION) {
        let publications: Vec<_> = subscription
            .publications
            .iter()
            .map(|name| ident(name))
            .collect();
        rendered.create.push(format!(
            "CREATE {object} CONNECTION {} PUBLICATION {} WITH ({})",
            literal(&subscription.connection),
            publications.join(", "),
            parameters(subscription).join(", ")
        ));
        rendered.drop.push(drop(&header.name, &object));
        if let Some(owner) = &header.owner {
            rendered
                .set_owner
                .push(format!("ALTER {object} OWNER TO {}", ident(owner)));
        }
    }
    rendered.comments = comment::of(header, &object);
    rendered.labels = label::of(header, &object, |_| None);
    rendered
}

fn parameters(subscription: &Subscription) -> Vec<String> {
    let mut all = vec![String::from("connect = false")];
    all.push(match &subscription.slot {
        Some(slot) => format!("slot_name = {}", literal(slot)),
        None => String::from("slot_name = NONE"),
    });
    let mut set = |condition: bool, text: &str| {
        if condition {
            all.push(text.to_owned());
        }
    };
    set(subscription.binary, "binary = true");
    // What it is when nothing is said has changed with 18.
    match subscription.streaming {
        Some(Streaming::Off) => set(true, "streaming = off"),
        Some(Streaming::On) => set(true, "streaming = on"),
        Some(Streaming::Parallel) => set(true, "streaming = parallel"),
        None => {}
    }
    set(subscription.two_phase, "two_phase = on");
    set(subscription.disable_on_error, "disable_on_error = true");
    let required = subscription.password_required;
    set(required == Some(false), "password_required = false");
    set(
        subscription.run_as_owner == Some(true),
        "run_as_owner = true",
    );
    set(subscription.failover, "failover = true");
    if subscription.synchronous_commit != "off" {
        all.push(format!(
            "synchronous_commit = {}",
            literal(&subscription.synchronous_commit)
        ));
    }
    if let Some(origin) = subscription.origin.as_ref().filter(|o| *o != "any") {
        all.push(format!("origin = {}", literal(origin)));
    }
    all
}

/// Leaves the slot of the publisher alone: DROP SUBSCRIPTION would connect to it and drop the
/// slot, and the subscription that takes its place is made without one of its own.
fn drop(name: &str, object: &str) -> String {
    let body = format!(
        "BEGIN\n  \
         IF EXISTS (SELECT FROM pg_catalog.pg_subscription s\n    \
         JOIN pg_catalog.pg_database d ON d.oid = s.subdbid\n    \
         WHERE d.datname = pg_catalog.current_database() AND s.subname = {})\n  THEN\n    \
         ALTER {object} DISABLE;\n    \
         ALTER {object} SET (slot_name = NONE);\n    \
         DROP {object};\n  END IF;\nEND",
        literal(name)
    );
    format!("DO {}", literal(&body))
}
