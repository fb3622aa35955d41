//! Which columns may travel by binary COPY.
//!
//! Binary COPY is faithful where a type's wire format holds nothing but the value. It is not where
//! it holds OIDs, which differ between databases: arrays and composites name the types of their
//! elements, `reg*` types are OIDs. It is not possible at all for types without send and receive
//! functions, or whose receive function refuses. `xml` has them, but its receiver obeys encoding
//! declarations and `xmloption`: it travels as text. The
//! receivers of `tsquery`, `int2vector` and `oidvector` refuse the empty value that was sent. So does `interval` from 17 on: infinity, which is
//! new there, is sent as the least or greatest value of each part, and a server before 17 takes that
//! for an interval of 178 million years. As text it is refused.
//!
//! Rows are compared by their bytes, so a type must also have the same binary form when a value was loaded and is read
//! again. That is not what an array has: the flag that says that there is room for NULLs, and dimensions of no elements,
//! are lost when it is loaded; whoever reads rows takes them away (`archive::ArrayColumns`, which knows arrays by the name that
//! is given here). Nothing else that is sent in binary has arrays in it: composites, and ranges and domains that users
//! make over anything but what is safe, travel as text, and no range of the server's own is over arrays.
//! The other types either have one form for one stored value, which is kept to the bit (floats with the sign of zero and the payload of
//! NaN, the scale of `numeric`, whether a `path` is closed, the bits of `inet` behind its mask, weights and positions of `tsvector`), or are stored as their
//! receiver makes them in any case (padding of bit strings, order and bounds of ranges, of pairs of `hstore`), or
//! are sent as text (`jsonb`, `jsonpath`, `citext`, those of `ltree`). `box` is one only but for NaN: its receiver
//! sorts the corners, as that of text does.

use super::context::{Fields, Reader};
use crate::error::Result;
use crate::model::{Oid, Relation};
use crate::sql::ServerVersion;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// OIDs below this one are assigned by PostgreSQL itself and are the same on every server.
const FIRST_UNPINNED: Oid = 12_000;

/// The types `$1`, and those that they are made of.
const TYPES: &str = "\
WITH RECURSIVE used (oid) AS (
    SELECT src.oid FROM pg_catalog.unnest($1::oid[]) AS src(oid)
     UNION
    SELECT part.oid
      FROM used
      JOIN pg_catalog.pg_type t ON t.oid = used.oid
      LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
      CROSS JOIN LATERAL (VALUES (t.typelem), (t.typbasetype), (r.rngsubtype)) AS part(oid)
     WHERE part.oid <> 0
)
SELECT t.oid, t.typname::text, n.nspname = 'pg_catalog', t.typtype::text,
       t.typsend <> 0 AND t.typreceive <> 0,
       CASE WHEN t.typlen = -1 AND t.typoutput = 'pg_catalog.array_out'::regproc
            THEN t.typelem ELSE 0::oid END,
       t.typbasetype, COALESCE(r.rngsubtype, 0::oid), e.extname::text,
       pg_catalog.format_type(t.oid, NULL)
  FROM used
  JOIN pg_catalog.pg_type t ON t.oid = used.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
  LEFT JOIN pg_catalog.pg_depend d
    ON d.classid = 1247 AND d.objid = t.oid AND d.objsubid = 0
   AND d.refclassid = 3079 AND d.deptype = 'e'
  LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid";

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("types of columns", TYPES.to_owned())]
}

/// Built-in types whose binary form is not, or not always, taken back.
const UNSAFE_BUILT_IN: [&str; 24] = [
    "aclitem",
    "gtsvector",
    "int2vector",
    "oidvector",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_ddl_command",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
    "regclass",
    "regcollation",
    "regconfig",
    "regdatabase",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "tsquery",
];

/// Types of well-known extensions whose binary form is the value and nothing else.
const SAFE_BY_EXTENSION: [(&str, &str); 11] = [
    ("citext", "citext"),
    ("cube", "cube"),
    ("hstore", "hstore"),
    ("ltree", "lquery"),
    ("ltree", "ltree"),
    ("ltree", "ltxtquery"),
    ("postgis", "geography"),
    ("postgis", "geometry"),
    ("vector", "halfvec"),
    ("vector", "sparsevec"),
    ("vector", "vector"),
];

/// What of a type decides.
#[derive(Clone, Debug)]
struct TypeFacts {
    name: String,
    in_pg_catalog: bool,
    /// `pg_type.typtype`
    sort: char,
    has_binary_io: bool,
    /// For true arrays.
    element: Oid,
    /// For domains.
    base: Oid,
    /// For ranges.
    subtype: Oid,
    extension: Option<String>,
    /// Its name as SQL.
    sql: Arc<str>,
}

/// The types of a source.
struct Types {
    facts: HashMap<Oid, TypeFacts>,
    version: ServerVersion,
}

/// Sets [`Column::sent_as`](crate::model::Column::sent_as) of every column.
///
/// # Errors
/// The server's.
pub(crate) async fn mark(reader: &Reader<'_>, relations: &mut [Relation]) -> Result<()> {
    let used: BTreeSet<Oid> = relations
        .iter()
        .flat_map(|relation| &relation.columns)
        .map(|column| column.type_oid)
        .collect();
    if used.is_empty() {
        return Ok(());
    }
    let used: Vec<Oid> = used.into_iter().collect();
    let mut types = Types {
        facts: HashMap::new(),
        version: reader.version,
    };
    for row in reader.rows("types of columns", TYPES, &[&used]).await? {
        let mut fields = Fields::of(&row);
        let oid: Oid = fields.next()?;
        let facts = TypeFacts {
            name: fields.next()?,
            in_pg_catalog: fields.next()?,
            sort: fields.next::<&str>()?.chars().next().unwrap_or('?'),
            has_binary_io: fields.next()?,
            element: fields.next()?,
            base: fields.next()?,
            subtype: fields.next()?,
            extension: fields.next()?,
            sql: fields.next::<Cow<'_, str>>()?.into(),
        };
        types.facts.insert(oid, facts);
    }
    for column in relations.iter_mut().flat_map(|r| &mut r.columns) {
        column.sent_as = types.sent_as(column.type_oid);
    }
    Ok(())
}

/// Domains over domains that are walked through, and what else types are made of.
const DEPTH: u32 = 64;

impl Types {
    /// The type that binary COPY sends for this one, if it carries it faithfully.
    fn sent_as(&self, oid: Oid) -> Option<Arc<str>> {
        if !self.is_safe(oid, 0) {
            return None;
        }
        let mut facts = self.facts.get(&oid)?;
        // What is safe has an end.
        while facts.sort == 'd' {
            facts = self.facts.get(&facts.base)?;
        }
        Some(Arc::clone(&facts.sql))
    }

    /// `depth` bounds the walk through domains over domains.
    fn is_safe(&self, oid: Oid, depth: u32) -> bool {
        let Some(facts) = self.facts.get(&oid).filter(|_| depth < DEPTH) else {
            return false;
        };
        if !facts.has_binary_io {
            return false;
        }
        let built_in = |oid: Oid, facts: &TypeFacts| oid < FIRST_UNPINNED && facts.in_pg_catalog;
        match facts.sort {
            // Sent as their labels.
            'e' => true,
            'd' => self.is_safe(facts.base, depth + 1),
            'b' if facts.element != 0 => {
                // The element's OID travels along.
                built_in(oid, facts)
                    && self.facts.get(&facts.element).is_some_and(|element| {
                        built_in(facts.element, element)
                            && matches!(element.sort, 'b' | 'r' | 'm')
                            && self.is_safe(facts.element, depth + 1)
                    })
            }
            'b' if built_in(oid, facts) => {
                let may_be_infinite = facts.name == "interval" && self.version.at_least(17);
                facts.name != "xml"
                    && !may_be_infinite
                    && UNSAFE_BUILT_IN.binary_search(&facts.name.as_str()).is_err()
            }
            'b' => facts.extension.as_deref().is_some_and(|extension| {
                SAFE_BY_EXTENSION.contains(&(extension, facts.name.as_str()))
            }),
            'r' => built_in(oid, facts) && self.is_safe(facts.subtype, depth + 1),
            'm' => built_in(oid, facts),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_exceptions_is_sorted() {
        assert!(UNSAFE_BUILT_IN.is_sorted());
    }

    fn built_in(name: &str, sort: char) -> TypeFacts {
        TypeFacts {
            name: name.into(),
            in_pg_catalog: true,
            sort,
            has_binary_io: true,
            element: 0,
            base: 0,
            subtype: 0,
            extension: None,
            sql: name.into(),
        }
    }

    #[test]
    fn a_domain_is_sent_as_its_base_and_one_over_itself_ends() {
        let domain = |base| TypeFacts {
            base,
            ..built_in("d", 'd')
        };
        let facts = [
            (20_000, domain(20_000)),
            (20_001, domain(20_002)),
            (20_002, domain(1186)),
            (1186, built_in("interval", 'b')),
            (
                1187,
                TypeFacts {
                    element: 1186,
                    ..built_in("_interval", 'b')
                },
            ),
        ];
        let types = |major: u32| Types {
            facts: HashMap::from(facts.clone()),
            version: ServerVersion::from_num(major * 10_000),
        };
        assert_eq!(types(16).sent_as(20_000), None);
        assert_eq!(types(16).sent_as(20_001).as_deref(), Some("interval"));
        assert_eq!(types(16).sent_as(1187).as_deref(), Some("_interval"));
        for oid in [20_001, 1186, 1187] {
            assert_eq!(types(17).sent_as(oid), None);
        }
    }
}
