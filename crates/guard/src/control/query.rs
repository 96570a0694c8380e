//! Query strings and bodies: from text to the types of the contract.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use menshen_api::{Problem, ProblemCode};
use serde::de::DeserializeOwned;
use serde::de::value::{MapDeserializer, StrDeserializer};

/// The longest body taken, in bytes; the largest real one has a few dozen.
const BODY_BYTES_MAX: usize = 64 << 10;
/// The most parameters a query may have.
const PARAMETERS_MAX: usize = 32;

/// Reads a query as a type of the contract.
pub(crate) fn parse<T: DeserializeOwned>(query: Option<&str>) -> Result<T, Problem> {
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

/// A body as JSON of the contract.
pub(super) async fn body<T: DeserializeOwned>(body: Incoming) -> Result<T, Problem> {
    let bytes = collect(body).await?;
    serde_json::from_slice(&bytes).map_err(|error| bad(format!("the body cannot be read: {error}")))
}

async fn collect(body: Incoming) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(ProblemCode::TooLarge, format!("a body may have {BODY_BYTES_MAX} bytes"));
    Limited::new(body, BODY_BYTES_MAX).collect().await.map(http_body_util::Collected::to_bytes).map_err(|_| too_large())
}

/// A duration.
pub(super) fn duration(text: &str) -> Result<Duration, Problem> {
    menshen_plan::duration::parse(text).map_err(|error| bad(error.to_string()))
}

pub(super) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::BadRequest, detail)
}

/// `%XX` and `+` as what they stand for.
fn decode(text: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match first {
            b'%' => {
                let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                (byte.ok_or_else(|| bad(format!("'{text}' has a % without two digits")))?, &after[2..])
            }
            b'+' => (b' ', after),
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| bad(format!("'{text}' is not UTF-8")))
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
    use menshen_api::types::{ListQuery, LogQuery, Stream, WaitFor, WaitQuery};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn queries_become_types_of_the_contract() {
        let query: LogQuery = parse(Some("follow&grep=a%20b%26&stream=stderr&tail=5&since=10m")).unwrap();
        let expected = LogQuery {
            follow: true,
            grep: Some("a b&".into()),
            stream: Some(Stream::Stderr),
            tail: Some(5),
            since: Some("10m".into()),
        };
        assert_eq!(query, expected);
        let query: WaitQuery = parse(Some("wait=ready&timeout=30s")).unwrap();
        assert_eq!((query.wait, query.timeout.as_deref()), (Some(WaitFor::Ready), Some("30s")));
        assert_eq!(parse::<WaitQuery>(None).unwrap(), WaitQuery::default());
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
            let detail = parse::<LogQuery>(Some(query)).unwrap_err().detail;
            assert!(detail.contains(expected), "{query}: {detail}");
        }
    }

    proptest! {
        #[test]
        fn no_query_panics(query in "\\PC*") {
            let _ = parse::<LogQuery>(Some(&query));
            let _ = parse::<ListQuery>(Some(&query));
        }
    }
}
