//! A row of a catalog query.
//!
//! The driver's own takes nothing but UTF-8 for a text; catalogs may have bytes of any encoding.

use crate::connect::Text;
use crate::error::Result;
use std::borrow::Cow;
use std::fmt::Display;
use tokio_postgres::row::RowIndex;
use tokio_postgres::types::FromSql;

/// A row whose texts are read whatever their bytes are, as [`crate::sql::text_of`] gives them.
pub(crate) struct Row(tokio_postgres::Row);

impl From<tokio_postgres::Row> for Row {
    fn from(row: tokio_postgres::Row) -> Self {
        Self(row)
    }
}

impl Row {
    /// The field at this place or of this name.
    ///
    /// # Panics
    /// When there is none, or not of this type: the query is another one than its reader takes it for.
    pub fn get<'r, I: RowIndex + Display, T: Field<'r>>(&'r self, at: I) -> T {
        T::of(self.0.get(at))
    }

    /// As [`get`](Self::get).
    ///
    /// # Errors
    /// Where that panics.
    pub fn try_get<'r, I: RowIndex + Display, T: Field<'r>>(&'r self, at: I) -> Result<T> {
        Ok(T::of(self.0.try_get(at)?))
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// What a field can be taken for.
pub(crate) trait Field<'r>: Sized {
    /// As what the driver reads it.
    type Sent: FromSql<'r>;

    /// Of what was read.
    fn of(sent: Self::Sent) -> Self;
}

macro_rules! as_sent {
    ($($of:ty),*) => {
        $(impl<'r> Field<'r> for $of {
            type Sent = $of;

            fn of(sent: Self::Sent) -> Self {
                sent
            }
        })*
    };
}

as_sent!(bool, i8, i16, i32, i64, u32, f32);

/// For words of the server's own alone: what is not UTF-8 is an error.
impl<'r> Field<'r> for &'r str {
    type Sent = &'r str;

    fn of(sent: Self::Sent) -> Self {
        sent
    }
}

impl<'r> Field<'r> for Cow<'r, str> {
    type Sent = Text<'r>;

    fn of(sent: Self::Sent) -> Self {
        sent.0
    }
}

impl<'r> Field<'r> for String {
    type Sent = Text<'r>;

    fn of(sent: Self::Sent) -> Self {
        sent.0.into_owned()
    }
}

impl<'r, T: Field<'r>> Field<'r> for Option<T> {
    type Sent = Option<T::Sent>;

    fn of(sent: Self::Sent) -> Self {
        sent.map(T::of)
    }
}

impl<'r, T: Field<'r>> Field<'r> for Vec<T> {
    type Sent = Vec<T::Sent>;

    fn of(sent: Self::Sent) -> Self {
        sent.into_iter().map(T::of).collect()
    }
}
