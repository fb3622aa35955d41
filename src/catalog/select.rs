//! Which objects are wanted, and what of them.
//!
//! Rules, in the order in which they count: members of extensions follow their extension, objects
//! in schemas follow their schema (or, for relations, the patterns of tables), objects without a
//! schema are wanted when nothing was selected.

use super::context::Reader;
use super::extensions::Members;
use super::losses;
use super::pattern::{Pattern, Subject};
use super::selection::Selection;
use crate::connect::Text;
use crate::error::{Error, Kind, Result, SqlState, one_line};
use crate::model::{
    Components, Database, Extension, Header, Oid, Persistence, Relation, RelationKind, Schema,
};
use crate::select::Content;
use crate::sql::ServerVersion;
use std::collections::{HashMap, HashSet};

/// Objects below were made by initdb.
pub(crate) const FIRST_NORMAL_OID: Oid = 16_384;

// Matching unqualified names needs the `search_path` that users of this connection have, so that
// nothing in these queries may be looked up by it.
const MATCHING_SCHEMAS: &str = "\
SELECT p.number::pg_catalog.int4, n.oid \
FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS p(name, number) \
JOIN pg_catalog.pg_namespace n \
ON n.nspname OPERATOR(pg_catalog.~) p.name COLLATE pg_catalog.default \
WHERE n.nspname OPERATOR(pg_catalog.=) 'pg_catalog' \
OR n.nspname OPERATOR(pg_catalog.!~) '^pg_' \
AND n.nspname OPERATOR(pg_catalog.<>) 'information_schema'";

// `unnest` of several arrays is syntax and not a function call: it must stand unqualified.
const MATCHING_RELATIONS: &str = "\
WITH RECURSIVE matching (number, oid) AS (\
SELECT p.number::pg_catalog.int4, c.oid \
FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) \
WITH ORDINALITY AS p(schema, name, number) \
JOIN pg_catalog.pg_namespace n ON p.schema IS NULL \
OR n.nspname OPERATOR(pg_catalog.~) p.schema COLLATE pg_catalog.default \
JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid \
AND c.relname OPERATOR(pg_catalog.~) p.name COLLATE pg_catalog.default \
WHERE c.relkind OPERATOR(pg_catalog.=) \
ANY ('{r,p,v,m,f,S}'::pg_catalog.\"char\"[]) \
AND (p.schema IS NOT NULL OR pg_catalog.pg_table_is_visible(c.oid)) \
AND n.nspname OPERATOR(pg_catalog.!~) '^pg_' \
AND n.nspname OPERATOR(pg_catalog.<>) 'information_schema' \
UNION \
SELECT m.number, i.inhrelid FROM matching m \
JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) m.oid \
AND ($3::pg_catalog.bool[])[m.number]) \
SELECT number, oid FROM matching";

const MATCHING_EXTENSIONS: &str = "\
SELECT p.number::pg_catalog.int4, e.oid \
FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS p(name, number) \
JOIN pg_catalog.pg_extension e \
ON e.extname OPERATOR(pg_catalog.~) p.name COLLATE pg_catalog.default";

const MATCHING_SERVERS: &str = "\
SELECT p.number::pg_catalog.int4, s.oid \
FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS p(name, number) \
JOIN pg_catalog.pg_foreign_server s \
ON s.srvname OPERATOR(pg_catalog.~) p.name COLLATE pg_catalog.default";

/// Foreign tables of the servers `$1`.
const FOREIGN_TABLES: &str = "\
SELECT t.ftrelid FROM pg_catalog.pg_foreign_table t WHERE t.ftserver = ANY ($1::oid[])";

const USERS_SEARCH_PATH: &str = "SET LOCAL search_path TO DEFAULT";
const EMPTY_SEARCH_PATH: &str = "SELECT pg_catalog.set_config('search_path', '', true)";

// Relations with a column whose privileges are not what they were at first.
const COLUMN_PRIVILEGES: &str = "\
SELECT DISTINCT a.attrelid FROM (\
SELECT attrelid, attnum FROM pg_catalog.pg_attribute WHERE attacl IS NOT NULL \
UNION SELECT objoid, objsubid::int2 FROM pg_catalog.pg_init_privs \
WHERE classoid = 'pg_catalog.pg_class'::regclass AND objsubid <> 0) has \
JOIN pg_catalog.pg_attribute a ON a.attrelid = has.attrelid AND a.attnum = has.attnum \
LEFT JOIN pg_catalog.pg_init_privs ip ON ip.classoid = 'pg_catalog.pg_class'::regclass \
AND ip.objoid = a.attrelid AND ip.objsubid = a.attnum \
WHERE a.attacl IS DISTINCT FROM ip.initprivs AND NOT a.attisdropped";

/// The selection, resolved to objects.
pub(crate) struct Selected {
    /// Nothing was selected by name, so that objects without a schema count too.
    everything: bool,
    content: Content,
    large_objects: Option<bool>,
    sequence_data: bool,
    no_unlogged: bool,
    members: Members,
    /// Extensions that were asked for, none if not any by name, and that were excluded.
    named_extensions: Option<HashSet<Oid>>,
    excluded_extensions: HashSet<Oid>,
    /// What members of an extension inherit from it.
    extensions: HashMap<Oid, Components>,
    /// What objects in a schema inherit from it, by the schema's name.
    schemas: HashMap<String, Components>,
    /// OIDs of schemas whose objects' definitions are wanted.
    defined_schemas: Vec<Oid>,
    /// Names of schemas that were asked for, none if not any by name, and that were excluded.
    named_schemas: Option<HashSet<String>>,
    excluded_schemas: HashSet<String>,
    tables: Option<HashSet<Oid>>,
    excluded_tables: HashSet<Oid>,
    excluded_data: HashSet<Oid>,
    /// Foreign tables whose rows are wanted.
    foreign_data: HashSet<Oid>,
}

impl Selected {
    /// Resolves the patterns, and marks what is wanted of extensions and schemas.
    ///
    /// # Errors
    /// A pattern that makes no sense, patterns that match nothing, the server's errors.
    pub async fn resolve(
        reader: &Reader<'_>,
        selection: &Selection,
        database: &str,
        members: Members,
        extensions: &mut [Extension],
        schemas: &mut [Schema],
    ) -> Result<Self> {
        let must = if selection.strict_names {
            Must::Each
        } else {
            Must::Any
        };
        let find = Matching { reader, database };
        let by_oid = |oids: HashSet<Oid>, schemas: &[Schema]| -> HashSet<String> {
            schemas
                .iter()
                .filter(|schema| oids.contains(&schema.header.address.oid))
                .map(|schema| schema.header.name.clone())
                .collect()
        };
        let named = find
            .oids(Patterns::schemas(&selection.schemas), must)
            .await?;
        let excluded = find
            .oids(Patterns::schemas(&selection.exclude_schemas), Must::Not)
            .await?;
        let tables = Patterns::tables(&selection.tables, &selection.tables_and_children);
        let excluded_tables = Patterns::tables(
            &selection.exclude_tables,
            &selection.exclude_tables_and_children,
        );
        let excluded_data = Patterns::tables(
            &selection.exclude_table_data,
            &selection.exclude_table_data_and_children,
        );
        let tables = find.oids(tables, must).await?;
        let excluded_tables = find.oids(excluded_tables, Must::Not).await?;
        let excluded_data = find.oids(excluded_data, Must::Not).await?;
        let named_extensions = find
            .oids(Patterns::extensions(&selection.extensions), must)
            .await?;
        let excluded_extensions = find
            .oids(
                Patterns::extensions(&selection.exclude_extensions),
                Must::Not,
            )
            .await?;
        let servers = Patterns::servers(&selection.foreign_data);
        let foreign_data = match find.oids(servers, Must::Each).await? {
            None => HashSet::new(),
            Some(servers) => {
                let servers: Vec<Oid> = servers.into_iter().collect();
                let rows = reader
                    .rows("foreign tables", FOREIGN_TABLES, &[&servers])
                    .await?;
                rows.iter().map(|row| row.get(0)).collect()
            }
        };
        let mut selected = Self {
            everything: named.is_none() && tables.is_none() && named_extensions.is_none(),
            content: selection.content,
            large_objects: selection.large_objects,
            sequence_data: selection.sequence_data,
            no_unlogged: selection.no_unlogged_table_data,
            members,
            named_extensions,
            excluded_extensions: excluded_extensions.unwrap_or_default(),
            extensions: HashMap::new(),
            schemas: HashMap::new(),
            defined_schemas: Vec::new(),
            named_schemas: named.map(|oids| by_oid(oids, schemas)),
            excluded_schemas: by_oid(excluded.unwrap_or_default(), schemas),
            tables,
            excluded_tables: excluded_tables.unwrap_or_default(),
            excluded_data: excluded_data.unwrap_or_default(),
            foreign_data,
        };
        for extension in extensions {
            selected.mark_extension(&mut extension.header);
        }
        for schema in schemas {
            selected.mark_schema(&mut schema.header);
        }
        Ok(selected)
    }

    /// OIDs of the schemas whose objects are to be read in full.
    pub fn defined_schemas(&self) -> &[Oid] {
        &self.defined_schemas
    }

    /// Whether objects that live in no schema are wanted.
    pub fn everything(&self) -> bool {
        self.everything
    }

    /// Whether definitions are wanted at all.
    pub fn definitions(&self) -> bool {
        self.content.definitions()
    }

    /// Whether what was added to members of this extension is wanted.
    pub fn has_members_of(&self, extension: Oid) -> bool {
        self.extensions
            .get(&extension)
            .is_some_and(|contains| contains.has(Components::ACL))
    }

    /// Whether large objects are wanted.
    pub fn large_objects(&self) -> bool {
        self.content.data() && self.large_objects.unwrap_or(self.everything)
    }

    /// What of `wanted` is asked for at all.
    pub fn content(&self, wanted: Components) -> Components {
        let wanted = wanted.without(Components::STATISTICS);
        match self.content {
            Content::All => wanted,
            Content::SchemaOnly => wanted.without(Components::DATA),
            Content::DataOnly => wanted.only(Components::DATA),
            Content::StatisticsOnly => Components::NONE,
        }
    }

    /// Marks extended statistics in a schema that is wanted other than their table's, and members
    /// of extensions among what belongs to relations.
    pub fn mark_parts(&self, database: &mut Database) {
        let tables: HashMap<Oid, Components> = database
            .relations
            .iter()
            .map(|relation| (relation.header.address.oid, relation.header.wanted))
            .collect();
        for statistics in &mut database.statistics {
            let table = tables.get(&statistics.table).copied().unwrap_or_default();
            let schema = statistics.header.schema.as_deref().unwrap_or_default();
            if table.has(Components::DEFINITION)
                && self.contained(schema).has(Components::DEFINITION)
            {
                let part = Components::DEFINITION
                    .with(Components::COMMENT)
                    .with(Components::LABEL);
                statistics.header.wanted = table.only(part);
            }
        }
        let statistics = database.statistics.iter_mut().map(|o| &mut o.header);
        for header in statistics
            .chain(database.indexes.iter_mut().map(|o| &mut o.header))
            .chain(database.foreign_keys.iter_mut().map(|o| &mut o.header))
            .chain(database.triggers.iter_mut().map(|o| &mut o.header))
            .chain(database.rules.iter_mut().map(|o| &mut o.header))
            .chain(database.policies.iter_mut().map(|o| &mut o.header))
        {
            header.extension = self.members.get(&header.address).copied();
            if header.extension.is_some() {
                header.wanted = Components::NONE;
            }
        }
    }

    fn mark_extension(&mut self, header: &mut Header) {
        let contains = if header.address.oid < FIRST_NORMAL_OID {
            // Changed privileges of plpgsql's members are kept, nothing else: every database has it.
            Components::ACL
        } else if self.excluded_extensions.contains(&header.address.oid) {
            Components::NONE
        } else if match &self.named_extensions {
            Some(named) => named.contains(&header.address.oid),
            None => self.everything,
        } {
            Components::ALL
        } else {
            Components::NONE
        };
        self.extensions.insert(header.address.oid, contains);
        header.wanted = self.content(contains.without(Components::DATA.with(Components::ACL)));
    }

    fn mark_schema(&mut self, header: &mut Header) {
        let name = header.name.as_str();
        // Extensions that are asked for by name leave schemas as they are.
        let named = self.named_schemas.as_ref();
        let chosen = self.tables.is_none() && named.is_none_or(|named| named.contains(name));
        let contains = if !chosen || self.excluded_schemas.contains(name) {
            Components::NONE
        } else if matches!(name, "pg_catalog" | "information_schema") {
            Components::ACL
        } else {
            Components::ALL
        };
        self.schemas.insert(header.name.clone(), contains);
        if self.definitions() && contains.has(Components::DEFINITION) {
            self.defined_schemas.push(header.address.oid);
        }
        let wanted = contains.without(Components::DATA);
        header.wanted = self.content(self.as_member(header, wanted));
    }

    /// What is wanted of an object that may be a member of an extension: then only privileges that
    /// were changed since. Remembers the extension.
    fn as_member(&self, header: &mut Header, otherwise: Components) -> Components {
        header.extension = self.members.get(&header.address).copied();
        let wanted = match header.extension {
            Some(extension) => self
                .extensions
                .get(&extension)
                .map_or(Components::NONE, |contains| contains.only(Components::ACL)),
            None => otherwise,
        };
        if wanted == Components::ACL && !header.acl.differs() {
            Components::NONE
        } else {
            wanted
        }
    }

    /// What objects in this schema inherit from it.
    pub fn contained(&self, schema: &str) -> Components {
        self.schemas.get(schema).copied().unwrap_or_default()
    }

    /// Marks an object that follows its schema, or, without one, the selection as a whole.
    pub fn mark(&self, header: &mut Header) {
        let inherited = match header.schema.as_deref() {
            Some(schema) => self.contained(schema),
            None if self.everything => Components::ALL,
            None => Components::NONE,
        };
        let wanted = self.as_member(header, inherited.without(Components::DATA));
        header.wanted = self.content(wanted);
    }

    /// Marks all relations, and gives configuration tables of extensions their conditions.
    ///
    /// # Errors
    /// The server's.
    pub async fn mark_relations(
        &self,
        reader: &Reader<'_>,
        relations: &mut Vec<Relation>,
        extensions: &[Extension],
    ) -> Result<()> {
        let rows = reader
            .rows("column privileges", COLUMN_PRIVILEGES, &[])
            .await?;
        let column_privileges: HashSet<Oid> = rows.iter().map(|row| row.get(0)).collect();
        for relation in &mut *relations {
            self.mark_relation(relation, &column_privileges);
        }
        let index: HashMap<Oid, usize> = relations
            .iter()
            .enumerate()
            .map(|(at, relation)| (relation.header.address.oid, at))
            .collect();
        follow_owners(relations, &index);
        self.mark_configuration(relations, &index, extensions);
        self.warn_of_unlogged(reader, relations);
        let kept: Vec<Components> = relations.iter().map(|r| self.data_of(reader, r)).collect();
        self.warn_of_partitioned(reader, relations, &index, &kept);
        let in_part = without_all_rows(relations, &index, &kept);
        for (relation, wanted) in relations.iter_mut().zip(kept) {
            let in_part = in_part.contains(&relation.header.address.oid);
            let statistics = if has_statistics(relation) && !in_part {
                wanted.only(Components::STATISTICS)
            } else {
                Components::NONE
            };
            relation.header.wanted = self.content_of(relation, wanted).with(statistics);
        }
        // Built-in relations are of no use but for changed privileges.
        relations.retain(|relation| {
            let schema = relation.header.schema.as_deref();
            !matches!(schema, Some("pg_catalog" | "information_schema"))
                || !relation.header.wanted.is_none()
        });
        Ok(())
    }

    fn mark_relation(&self, relation: &mut Relation, column_privileges: &HashSet<Oid>) {
        let header = &mut relation.header;
        if relation.kind == RelationKind::Composite {
            // The type is what is wanted.
            header.extension = self.members.get(&header.address).copied();
            header.wanted = Components::NONE;
            return;
        }
        let oid = header.address.oid;
        let mut wanted = match (&self.tables, header.schema.as_deref()) {
            (Some(tables), _) if tables.contains(&oid) => Components::ALL,
            (Some(_), _) | (None, None) => Components::NONE,
            (None, Some(schema)) => self.contained(schema),
        };
        if self.excluded_tables.contains(&oid) {
            wanted = Components::NONE;
        }
        let acl_wanted = match self.members.get(&header.address) {
            Some(extension) => self
                .extensions
                .get(extension)
                .is_some_and(|contains| contains.has(Components::ACL)),
            None => wanted == Components::ACL,
        };
        header.wanted = self.as_member(header, wanted);
        if acl_wanted && column_privileges.contains(&oid) {
            header.wanted = header.wanted.with(Components::ACL);
        }
    }

    /// Rows of configuration tables belong to the user although the table does not.
    fn mark_configuration(
        &self,
        relations: &mut [Relation],
        index: &HashMap<Oid, usize>,
        extensions: &[Extension],
    ) {
        for extension in extensions {
            for table in &extension.configuration {
                let Some(&at) = index.get(&table.relation) else {
                    continue;
                };
                let relation = &mut relations[at];
                let schema = relation.header.schema.as_deref().unwrap_or_default();
                let chosen = self
                    .extensions
                    .get(&extension.header.address.oid)
                    .is_some_and(|contains| contains.has(Components::DATA))
                    || self
                        .tables
                        .as_ref()
                        .is_some_and(|tables| tables.contains(&table.relation))
                    || self.tables.is_none()
                        && self
                            .named_schemas
                            .as_ref()
                            .is_some_and(|named| named.contains(schema));
                if chosen
                    && !self.excluded_tables.contains(&table.relation)
                    && !self.excluded_schemas.contains(schema)
                {
                    relation.header.wanted = relation.header.wanted.with(Components::DATA);
                    relation.configuration_condition = Some(table.condition.clone());
                }
            }
        }
    }

    /// What a standby does not have is not left out in silence.
    fn warn_of_unlogged(&self, reader: &Reader<'_>, relations: &[Relation]) {
        let lost = relations.iter().filter(|relation| {
            relation.persistence == Persistence::Unlogged
                && matches!(relation.kind, RelationKind::Table | RelationKind::Sequence)
                && self
                    .content_of(relation, relation.header.wanted)
                    .has(Components::DATA)
                && !self.excluded_data.contains(&relation.header.address.oid)
                && !self.no_unlogged
        });
        let names: Vec<String> = lost
            .map(|relation| one_line(&relation.header.sql_name()))
            .collect();
        if reader.in_recovery && !names.is_empty() {
            reader.observer.warning_with_hint(
                format!(
                    "unlogged tables and sequences cannot be read on a standby: rows and values \
                     are left out of {}",
                    losses::some_of(names)
                ),
                "dump from the primary",
            );
        }
    }

    /// A partitioned table has its rows in its partitions, which `-t` alone does not take along.
    fn warn_of_partitioned(
        &self,
        reader: &Reader<'_>,
        relations: &[Relation],
        index: &HashMap<Oid, usize>,
        kept: &[Components],
    ) {
        let Some(tables) = &self.tables else { return };
        // Those that have partitions, and those of which some partition's rows are dumped.
        let (mut parents, mut with_rows) = (HashSet::new(), HashSet::new());
        for (relation, kept) in relations.iter().zip(kept) {
            let has_rows = self.content_of(relation, *kept).has(Components::DATA);
            let mut below = relation;
            while let Some(parent) = below.parents.first().and_then(|p| index.get(&p.oid)) {
                below = &relations[*parent];
                let oid = below.header.address.oid;
                let is_new = parents.insert(oid) | (has_rows && with_rows.insert(oid));
                if !is_new {
                    break;
                }
            }
        }
        let empty = relations.iter().filter(|relation| {
            let oid = relation.header.address.oid;
            relation.kind == RelationKind::PartitionedTable
                && tables.contains(&oid)
                && parents.contains(&oid)
                && !with_rows.contains(&oid)
                && !self.excluded_data.contains(&oid)
                && self
                    .content_of(relation, relation.header.wanted)
                    .has(Components::DATA)
        });
        let names: Vec<String> = empty
            .map(|relation| one_line(&relation.header.sql_name()))
            .collect();
        if !names.is_empty() {
            reader.observer.warning_with_hint(
                format!(
                    "no rows of {}: of a partitioned table they are in its partitions, and none \
                     is selected",
                    losses::some_of(names)
                ),
                "--table-and-children takes partitions along",
            );
        }
    }

    /// What of `wanted` is asked for at all, for a relation: the values of sequences can be asked
    /// for where rows are not.
    fn content_of(&self, relation: &Relation, wanted: Components) -> Components {
        let kept = self.content(wanted);
        let value = self.sequence_data
            && relation.kind == RelationKind::Sequence
            && wanted.has(Components::DATA);
        if value {
            kept.with(Components::DATA)
        } else {
            kept
        }
    }

    /// What is wanted of a relation, without rows where there are none of its own to write.
    fn data_of(&self, reader: &Reader<'_>, relation: &Relation) -> Components {
        let wanted = relation.header.wanted;
        let has_rows = match relation.kind {
            RelationKind::Table | RelationKind::Sequence | RelationKind::MaterializedView => true,
            RelationKind::ForeignTable => self.foreign_data.contains(&relation.header.address.oid),
            RelationKind::PartitionedTable | RelationKind::View | RelationKind::Composite => false,
        };
        let unlogged = relation.persistence == Persistence::Unlogged
            // The position of an unlogged sequence, too, can be read nowhere but on the primary.
            && (reader.in_recovery || self.no_unlogged);
        let excluded = self.excluded_data.contains(&relation.header.address.oid);
        if has_rows && !unlogged && !excluded {
            wanted
        } else if has_rows || excluded {
            // Statistics tell of rows.
            wanted.without(Components::DATA.with(Components::STATISTICS))
        } else {
            wanted.without(Components::DATA)
        }
    }
}

/// Whether the planner can know anything of a relation of this sort, which is not the server's own.
fn has_statistics(relation: &Relation) -> bool {
    relation.header.address.oid >= FIRST_NORMAL_OID
        && matches!(
            relation.kind,
            RelationKind::Table
                | RelationKind::PartitionedTable
                | RelationKind::MaterializedView
                | RelationKind::ForeignTable
        )
}

/// Partitioned tables of which some partition's rows are not dumped: their statistics tell of those.
fn without_all_rows(
    relations: &[Relation],
    index: &HashMap<Oid, usize>,
    kept: &[Components],
) -> HashSet<Oid> {
    let mut found = HashSet::new();
    for (relation, kept) in relations.iter().zip(kept) {
        if relation.kind != RelationKind::Table || kept.has(Components::DATA) {
            continue;
        }
        let mut below = relation;
        while let Some(parent) = below.parents.first().and_then(|p| index.get(&p.oid)) {
            below = &relations[*parent];
            let is_partitioned = below.kind == RelationKind::PartitionedTable;
            if !is_partitioned || !found.insert(below.header.address.oid) {
                break;
            }
        }
    }
    found
}

/// Sequences come with the tables that own them.
fn follow_owners(relations: &mut [Relation], index: &HashMap<Oid, usize>) {
    for at in 0..relations.len() {
        let Some(owner) = relations[at]
            .sequence
            .as_ref()
            .and_then(|s| s.owner.as_ref())
        else {
            continue;
        };
        let Some(table) = index.get(&owner.table).map(|&at| &relations[at].header) else {
            continue;
        };
        let wanted = if owner.identity.is_some() {
            table.wanted
        } else {
            relations[at].header.wanted.with(table.wanted)
        };
        relations[at].header.wanted = wanted;
    }
}

/// Whether patterns must match something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Must {
    Not,
    /// At least one of them.
    Any,
    Each,
}

/// Patterns for objects of one kind.
struct Patterns<'a> {
    subject: Subject,
    /// Each with whether partitions and heirs of what it matches count too.
    patterns: Vec<(&'a str, bool)>,
}

impl<'a> Patterns<'a> {
    fn new(subject: Subject, patterns: &'a [String]) -> Self {
        let patterns = patterns.iter().map(|text| (text.as_str(), false));
        Self {
            subject,
            patterns: patterns.collect(),
        }
    }

    fn schemas(patterns: &'a [String]) -> Self {
        Self::new(Subject::Schema, patterns)
    }

    fn extensions(patterns: &'a [String]) -> Self {
        Self::new(Subject::Extension, patterns)
    }

    fn servers(patterns: &'a [String]) -> Self {
        Self::new(Subject::ForeignServer, patterns)
    }

    fn tables(alone: &'a [String], with_children: &'a [String]) -> Self {
        let mut all = Self::new(Subject::Relation, alone);
        let with_children = with_children.iter().map(|text| (text.as_str(), true));
        all.patterns.extend(with_children);
        all
    }

    fn describe(&self) -> String {
        let texts: Vec<&str> = self.patterns.iter().map(|(text, _)| *text).collect();
        texts.join(", ")
    }
}

/// Where patterns are matched.
struct Matching<'a> {
    reader: &'a Reader<'a>,
    database: &'a str,
}

impl Matching<'_> {
    /// The objects that match; none when there are no patterns.
    ///
    /// # Errors
    /// A pattern that makes no sense, or that matches nothing although it must; the server's.
    async fn oids(&self, wanted: Patterns<'_>, must: Must) -> Result<Option<HashSet<Oid>>> {
        if wanted.patterns.is_empty() {
            return Ok(None);
        }
        let Self { reader, database } = *self;
        matching(reader, &wanted, database, must).await.map(Some)
    }
}

async fn matching(
    reader: &Reader<'_>,
    wanted: &Patterns<'_>,
    database: &str,
    must: Must,
) -> Result<HashSet<Oid>> {
    let parsed = wanted
        .patterns
        .iter()
        .map(|(text, _)| Pattern::parse(text, wanted.subject, database))
        .collect::<Result<Vec<_>>>()?;
    let names: Vec<Text<'_>> = parsed.iter().map(|p| Text::from(&p.name)).collect();
    let what = match wanted.subject {
        Subject::Schema => "schemas",
        Subject::Relation => "tables",
        Subject::Extension => "extensions",
        Subject::ForeignServer => "foreign servers",
    };
    let client = reader.client;
    let rows = match wanted.subject {
        Subject::Schema => client.query(MATCHING_SCHEMAS, &[&names]).await,
        Subject::Extension => client.query(MATCHING_EXTENSIONS, &[&names]).await,
        Subject::ForeignServer => client.query(MATCHING_SERVERS, &[&names]).await,
        Subject::Relation => {
            let schemas: Vec<Option<Text<'_>>> = parsed
                .iter()
                .map(|p| p.schema.as_ref().map(Text::from))
                .collect();
            let children: Vec<bool> = wanted.patterns.iter().map(|(_, with)| *with).collect();
            let users_path = parsed.iter().any(|p| p.schema.is_none());
            if users_path {
                client.batch_execute(USERS_SEARCH_PATH).await?;
            }
            let rows = client
                .query(MATCHING_RELATIONS, &[&schemas, &names, &children])
                .await;
            // After a failure the transaction is of no use, and neither is its search_path.
            if users_path && rows.is_ok() {
                client.batch_execute(EMPTY_SEARCH_PATH).await?;
            }
            rows
        }
    }
    .map_err(|error| {
        let error = Error::from(error).context(format!("match {what} against {}", wanted.describe()));
        match error.sqlstate() {
            Some(&SqlState::INVALID_REGULAR_EXPRESSION) => error.with_kind(Kind::Usage).with_hint(
                "a pattern is a regular expression but for *, ?, . and $; within double quotes nothing is special",
            ),
            _ => error,
        }
    })?;
    let mut matched = HashSet::new();
    let mut oids = HashSet::new();
    for row in &rows {
        matched.insert(row.get::<_, i32>(0));
        oids.insert(row.get(1));
    }
    let missed = wanted
        .patterns
        .iter()
        .zip(1..)
        .find(|(_, number)| !matched.contains(number));
    match (must, missed) {
        (Must::Each, Some(((pattern, _), _))) => Err(nothing_matches(what, pattern)),
        (Must::Any, Some(((pattern, _), _))) if oids.is_empty() => Err(nothing_matches(
            what,
            if wanted.patterns.len() == 1 {
                pattern
            } else {
                "any pattern"
            },
        )),
        _ => Ok(oids),
    }
}

fn nothing_matches(what: &str, pattern: &str) -> Error {
    Error::new(Kind::Failed, format!("no matching {what} for {pattern}")).with_hint(match what {
        "tables" => {
            "letters outside double quotes fold to lower case, and a table name without a schema \
             matches only tables that the default search_path makes visible"
        }
        _ => "letters outside double quotes fold to lower case",
    })
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("matching schemas", MATCHING_SCHEMAS.to_owned()),
        ("matching relations", MATCHING_RELATIONS.to_owned()),
        ("matching extensions", MATCHING_EXTENSIONS.to_owned()),
        ("matching servers", MATCHING_SERVERS.to_owned()),
        ("foreign tables", FOREIGN_TABLES.to_owned()),
        ("column privileges", COLUMN_PRIVILEGES.to_owned()),
    ]
}
