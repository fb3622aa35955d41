//! What is known of objects of all classes in the same way: comments, security labels, extensions
//! they depend on, privileges of roles that are gone.

use super::acl;
use super::comments::Comments;
use super::context::Reader;
use super::labels::Labels;
use crate::model::{Acl, Address, Class, Database, Header, RelationKind, TypeDefinition};
use std::collections::HashMap;

/// By address, what is to be handed out to the headers.
pub(crate) struct Notes {
    /// Comments.
    pub comments: Comments,
    /// Security labels.
    pub labels: Labels,
    /// `DEPENDS ON EXTENSION`.
    pub extensions: HashMap<Address, Vec<String>>,
}

/// The comment that initdb gives to `public`.
const STOCK_COMMENT: &str = "standard public schema";

/// Gives every object its comments, labels and extensions. The comment of `public` is what differs
/// from a new database: none for the usual text, an empty one where it was removed. A new extension has
/// the comment of its control file, so that one without any gets an empty one.
pub(crate) fn annotate(database: &mut Database, mut notes: Notes) {
    for header in all(database) {
        annotate_one(header, &mut notes);
    }
    for schema in database.schemas.iter_mut().filter(|s| s.built_in) {
        let comment = schema.header.comment.take();
        schema.header.comment = match comment {
            Some(text) if text == STOCK_COMMENT => None,
            Some(text) => Some(text),
            None => Some(String::new()),
        };
    }
    for extension in &mut database.extensions {
        extension.header.comment.get_or_insert_default();
    }
    for r#type in &mut database.types {
        match &mut r#type.definition {
            // Comments on columns hang on the relation.
            TypeDefinition::Composite { relation, .. } => {
                let columns = Address::new(Class::Relation, *relation);
                if let Some(comments) = notes.comments.remove(&columns) {
                    r#type.header.part_comments = comments;
                }
            }
            TypeDefinition::Domain(domain) => {
                for constraint in &mut domain.constraints {
                    let address = Address::new(Class::Constraint, constraint.oid);
                    constraint.comment = whole(notes.comments.remove(&address));
                }
            }
            _ => {}
        }
    }
    for group in &mut database.large_objects {
        for object in &mut group.objects {
            let address = Address::new(Class::LargeObject, object.oid);
            object.comment = whole(notes.comments.remove(&address));
            if let Some(labels) = notes.labels.remove(&address) {
                object.labels = labels.into_iter().map(|(_, p, l)| (p, l)).collect();
            }
        }
    }
}

fn whole(comments: Option<Vec<(i32, String)>>) -> Option<String> {
    let mut comments = comments?.into_iter();
    comments.find(|(part, _)| *part == 0).map(|(_, text)| text)
}

fn annotate_one(header: &mut Header, notes: &mut Notes) {
    let address = header.address;
    if let Some(comments) = notes.comments.remove(&address) {
        for (part, text) in comments {
            if part == 0 {
                header.comment = Some(text);
            } else {
                header.part_comments.push((part, text));
            }
        }
    }
    if let Some(labels) = notes.labels.remove(&address) {
        header.labels = labels;
    }
    if let Some(extensions) = notes.extensions.remove(&address) {
        header.depends_on_extensions = extensions;
    }
}

/// Everything with a header; the relations of composite types apart, for which their types speak.
fn all(database: &mut Database) -> impl Iterator<Item = &mut Header> {
    let relations = database
        .relations
        .iter_mut()
        .filter(|r| r.kind != RelationKind::Composite);
    std::iter::once(&mut database.properties.header)
        .chain(database.schemas.iter_mut().map(|o| &mut o.header))
        .chain(database.extensions.iter_mut().map(|o| &mut o.header))
        .chain(database.languages.iter_mut().map(|o| &mut o.header))
        .chain(database.collations.iter_mut().map(|o| &mut o.header))
        .chain(database.casts.iter_mut().map(|o| &mut o.header))
        .chain(database.aggregates.iter_mut().map(|o| &mut o.header))
        .chain(database.operators.iter_mut().map(|o| &mut o.header))
        .chain(database.operator_families.iter_mut().map(|o| &mut o.header))
        .chain(database.operator_classes.iter_mut().map(|o| &mut o.header))
        .chain(database.access_methods.iter_mut().map(|o| &mut o.header))
        .chain(database.conversions.iter_mut().map(|o| &mut o.header))
        .chain(database.transforms.iter_mut().map(|o| &mut o.header))
        .chain(
            database
                .text_search_parsers
                .iter_mut()
                .map(|o| &mut o.header),
        )
        .chain(
            database
                .text_search_templates
                .iter_mut()
                .map(|o| &mut o.header),
        )
        .chain(
            database
                .text_search_dictionaries
                .iter_mut()
                .map(|o| &mut o.header),
        )
        .chain(
            database
                .text_search_configurations
                .iter_mut()
                .map(|o| &mut o.header),
        )
        .chain(
            database
                .foreign_data_wrappers
                .iter_mut()
                .map(|o| &mut o.header),
        )
        .chain(database.foreign_servers.iter_mut().map(|o| &mut o.header))
        .chain(database.subscriptions.iter_mut().map(|o| &mut o.header))
        .chain(database.publications.iter_mut().map(|o| &mut o.header))
        .chain(database.event_triggers.iter_mut().map(|o| &mut o.header))
        .chain(database.types.iter_mut().map(|o| &mut o.header))
        .chain(database.functions.iter_mut().map(|o| &mut o.header))
        .chain(relations.map(|o| &mut o.header))
        .chain(database.indexes.iter_mut().map(|o| &mut o.header))
        .chain(database.foreign_keys.iter_mut().map(|o| &mut o.header))
        .chain(database.statistics.iter_mut().map(|o| &mut o.header))
        .chain(database.rules.iter_mut().map(|o| &mut o.header))
        .chain(database.triggers.iter_mut().map(|o| &mut o.header))
        .chain(database.policies.iter_mut().map(|o| &mut o.header))
}

/// Leaves out, with a warning, privileges of or by roles that are gone. The server keeps such
/// remains only after catalogs have been tampered with, and no GRANT could make them again.
pub(crate) fn drop_dangling_privileges(database: &mut Database, reader: &Reader<'_>) {
    let clean = |acl: &mut Acl, object: &dyn Fn() -> String| {
        for role in acl::drop_dangling(acl, reader.roles) {
            reader.observer.warning(format!(
                "left out privileges on {}: the role with OID {role} does not exist",
                object()
            ));
        }
    };
    for relation in &mut database.relations {
        let name = relation.header.sql_name();
        for (column, acl) in &mut relation.system_columns {
            clean(acl, &|| format!("{name}.{column}"));
        }
        for column in &mut relation.columns {
            if let Some(settings) = &mut column.settings {
                clean(&mut settings.acl, &|| format!("{name}.{}", column.name));
            }
        }
    }
    for header in all(database) {
        let mut acl = std::mem::take(&mut header.acl);
        clean(&mut acl, &|| header.sql_name());
        header.acl = acl;
    }
    for group in &mut database.large_objects {
        clean(&mut group.acl, &|| {
            let first = group.objects.first().map_or(0, |object| object.oid);
            format!("large object {first} and others")
        });
    }
    for default in &mut database.default_acls {
        clean(&mut default.acl, &|| {
            format!("new objects of {}", default.role)
        });
    }
}
