//! CREATE EVENT TRIGGER.

use crate::graph::Node;
use crate::model::{EnabledState, EventTrigger};
use crate::sql::{ident, literal};

use super::plain;
use super::rendered::Rendered;
use super::target::Target;

pub(super) fn render(target: &Target, node: Node, trigger: &EventTrigger) -> Rendered {
    let header = &trigger.header;
    let name = ident(&header.name);
    target.needs(trigger.event == "login", 17, "event triggers on login");
    let mut create = format!("CREATE EVENT TRIGGER {name} ON {}", ident(&trigger.event));
    if !trigger.tags.is_empty() {
        let tags: Vec<_> = trigger.tags.iter().map(|tag| literal(tag)).collect();
        create.push_str(&format!("\n    WHEN TAG IN ({})", tags.join(", ")));
    }
    create.push_str(&format!("\n    EXECUTE FUNCTION {}()", trigger.function));
    let state = match trigger.enabled {
        EnabledState::Origin => None,
        EnabledState::Disabled => Some("DISABLE"),
        EnabledState::Replica => Some("ENABLE REPLICA"),
        EnabledState::Always => Some("ENABLE ALWAYS"),
    };
    let mut create = vec![create];
    create.extend(state.map(|state| format!("ALTER EVENT TRIGGER {name} {state}")));
    plain::render(node, "EVENT TRIGGER", &name, header, create)
}
