//! CREATE SUBSCRIPTION, always unconnected: no slot is made, nothing is copied, and it stays
//! disabled until somebody enables it.
//!
//! Parameters are written as far as the target knows them, and those whose default another major
//! changed so that the subscription does what it did.

use crate::graph::Node;
use crate::model::{Components, Streaming, Subscription};
use crate::sql::{ident, literal};

use super::rendered::Rendered;
use super::target::Target;
use super::{comment, label};

pub(super) fn render(target: &Target, node: Node, subscription: &Subscription) -> Rendered {
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
            parameters(target, subscription).join(", ")
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

fn parameters(target: &Target, subscription: &Subscription) -> Vec<String> {
    let mut all = vec![String::from("connect = false")];
    all.push(match &subscription.slot {
        Some(slot) => format!("slot_name = {}", literal(slot)),
        None => String::from("slot_name = NONE"),
    });
    let mut set = |condition: bool, since: u32, text: &str| {
        if !condition {
            return;
        }
        if target.at_least(since) {
            all.push(text.to_owned());
        } else {
            target.note(format!("the parameter {text}, which is not there"));
        }
    };
    set(subscription.binary, 14, "binary = true");
    match subscription.streaming {
        // What it is when nothing is said has changed with 18; before 14 there is nothing else.
        Some(Streaming::Off) => set(target.at_least(14), 14, "streaming = off"),
        None => set(target.at_least(18), 14, "streaming = off"),
        Some(Streaming::On) => set(true, 14, "streaming = on"),
        Some(Streaming::Parallel) if target.at_least(16) => {
            set(true, 16, "streaming = parallel");
        }
        Some(Streaming::Parallel) => {
            target.note("streaming is not parallel");
            set(true, 14, "streaming = on");
        }
    }
    set(subscription.two_phase, 15, "two_phase = on");
    let disable = subscription.disable_on_error;
    set(disable, 15, "disable_on_error = true");
    let required = subscription.password_required;
    set(required == Some(false), 16, "password_required = false");
    match subscription.run_as_owner {
        // Before 16 it always is so.
        Some(true) | None => set(target.at_least(16), 16, "run_as_owner = true"),
        Some(false) if !target.at_least(16) => {
            target.note("subscriptions apply changes as their owner");
        }
        Some(false) => {}
    }
    set(subscription.failover, 17, "failover = true");
    if subscription.synchronous_commit != "off" {
        all.push(format!(
            "synchronous_commit = {}",
            literal(&subscription.synchronous_commit)
        ));
    }
    if let Some(origin) = subscription.origin.as_ref().filter(|o| *o != "any") {
        if target.at_least(16) {
            all.push(format!("origin = {}", literal(origin)));
        } else {
            target.impossible("subscriptions to local changes only (origin)");
        }
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
