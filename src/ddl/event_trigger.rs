//! CREATE EVENT TRIGGER.

use crate::graph::Node;
use crate::model::{Components, EnabledState, EventTrigger};
use crate::sql::{ident, literal};

use super::rendered::Rendered;
use super::{comment, label};

pub(super) fn render(node: Node, trigger: &EventTrigger) -> Rendered {
    let header = &trigger.header;
    let name = ident(&header.name);
    let object = format!("EVENT TRIGGER {name}");
    let mut rendered = Rendered::new(node, "EVENT TRIGGER", header);
    rendered.owner.clone_from(&header.owner);
    if header.wanted.has(Components::DEFINITION) {
        let mut create = format!("CREATE {object} ON {}", ident(&trigger.event));
        if !trigger.tags.is_empty() {
            let tags: Vec<_> = trigger.tags.iter().map(|tag| literal(tag)).collect();
            create.push_str(&format!("\n    WHEN TAG IN ({})", tags.join(", ")));
        }
        create.push_str(&format!("\n    EXECUTE FUNCTION {}()", trigger.function));
        rendered.create.push(create);
        let state = match trigger.enabled {
            EnabledState::Origin => None,
            EnabledState::Disabled => Some("DISABLE"),
            EnabledState::Replica => Some("ENABLE REPLICA"),
            EnabledState::Always => Some("ENABLE ALWAYS"),
        };
        rendered
            .create
            .extend(state.map(|state| format!("ALTER {object} {state}")));
        rendered
            .drop
            .push(format!("DROP EVENT TRIGGER IF EXISTS {name}"));
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
