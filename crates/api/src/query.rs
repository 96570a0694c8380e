//! Query strings, both ways: the client writes a type of the contract as one, the server reads it back.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::{MapDeserializer, StrDeserializer};

use crate::percent;
use crate::problem::{Problem, ProblemCode};

/// The most parameters a query may have.
const PARAMETERS_MAX: usize = 32;

/// Writes a type of the contract as a query. What is not asked for (null, false) is left out.
///
/// # Errors
/// When it is not a type that serde can write.
pub fn write(query: &impl Serialize) -> Result<String, serde_json::Error> {
    let value = serde_json::to_value(query)?;
    let pairs = value.as_object().into_iter().flatten().filter_map(|(key, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let asked = !value.is_null() && *value != serde_json::Value::Bool(false);
        asked.then(|| format!("{key}={}", percent::encode(&text)))
    });
    Ok(pairs.collect::<Vec<_>>().join("&"))
}

/// Reads a query as a type of the contract.
///
/// # Errors
/// With what is wrong with it, as the caller is answered.
///
/// ```
/// use menshen_api::{query, types::LogQuery};
/// let asked = LogQuery { grep: Some("a b".into()), tail: Some(5), ..LogQuery::default() };
/// let text = query::write(&asked).unwrap();
/// assert_eq!(text, "grep=a%20b&tail=5");
/// assert_eq!(query::read::<LogQuery>(Some(&text)), Ok(asked));
/// ```
pub fn read<T: DeserializeOwned>(query: Option<&str>) -> Result<T, Problem> {
    let mut parameters = BTreeMap::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decode(key)?, decode(value)?);
        if parameters.len() >= PARAMETERS_MAX || parameters.insert(key.clone(), value).is_some() {
            return Err(bad(format!("the parameter '{key}' is given twice, or there are too many")));
        }
    }
    let entries = parameters.iter().map(|(key, value)| (key.as_str(), Parameter(value)));
    T::deserialize(MapDeserializer::<_, serde::de::value::Error>::new(entries)).map_err(|error| bad(error.to_string()))
}

fn bad(detail: String) -> Problem {
    Problem::new(ProblemCode::BadRequest, detail)
}

/// `%XX` and `+` as what they stand for.
fn decode(text: &str) -> Result<String, Problem> {
    percent::decode(&text.replace('+', " ")).map_err(|error| bad(format!("'{text}' {error}")))
}

/// A parameter: text, which is a number where the contract wants one.
struct Parameter<'a>(&'a str);

impl<'de> serde::de::IntoDeserializer<'de, serde::de::value::Error> for Parameter<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! numbers {
    ($($method:ident => $visit:ident, $type:ty;)+) => {
        $(fn $method<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            let wrong = || serde::de::Error::custom(format!("'{}' is not a whole number", self.0));
            visitor.$visit(self.0.parse::<$type>().map_err(|_| wrong())?)
        })+
    };
}

impl<'de> serde::Deserializer<'de> for Parameter<'de> {
    type Error = serde::de::value::Error;

    numbers! {
        deserialize_u8 => visit_u8, u8;
        deserialize_u16 => visit_u16, u16;
        deserialize_u32 => visit_u32, u32;
        deserialize_u64 => visit_u64, u64;
    }

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: serde::de::Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        serde::Deserializer::deserialize_enum(StrDeserializer::<Self::Error>::new(self.0), name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{ListQuery, LogQuery, Stream, WaitFor, WaitQuery};

    #[test]
    fn queries_become_types_of_the_contract() {
        let query: LogQuery = read(Some("follow&so_far=false&grep=a%20b%26&stream=stderr&tail=5&since=10m")).unwrap();
        let expected = LogQuery {
            follow: true,
            so_far: false,
            grep: Some("a b&".into()),
            stream: Some(Stream::Stderr),
            tail: Some(5),
            since: Some("10m".into()),
            after: None,
        };
        assert_eq!(query, expected);
        let query: WaitQuery = read(Some("wait=ready&timeout=30s")).unwrap();
        assert_eq!((query.wait, query.timeout.as_deref()), (Some(WaitFor::Ready), Some("30s")));
        assert_eq!(read::<WaitQuery>(None).unwrap(), WaitQuery::default());
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_reason() {
        for (query, expected) in [
            ("tail=x", "'x' is not a whole number"),
            ("tail=-1", "'-1' is not a whole number"),
            ("nope=1", "unknown field `nope`"),
            ("follow=perhaps", "neither true nor false"),
            ("stream=stdin", "unknown variant `stdin`"),
            ("tail=1&tail=2", "twice"),
            ("grep=%zz", "% without two digits"),
            ("grep=%ff", "not UTF-8"),
        ] {
            let detail = read::<LogQuery>(Some(query)).unwrap_err().detail;
            assert!(detail.contains(expected), "{query}: {detail}");
        }
    }

    proptest! {
        #[test]
        fn no_query_panics(query in "\\PC*") {
            let _ = read::<LogQuery>(Some(&query));
            let _ = read::<ListQuery>(Some(&query));
        }
    }
}
