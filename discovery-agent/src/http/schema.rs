//! The schema of accepted bodies: field names are case-insensitive, as in Go; unknown fields are refused, as in Consul. Both happen before any
//! type of this crate is filled.

use serde_json::{Map, Value};

use crate::duration;

/// The required type of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Text,
    Int,
    Flag,
    /// `"10s"`, or nanoseconds; becomes nanoseconds.
    Duration,
    List(&'static Self),
    Map(&'static Self),
    /// Fields in groups, so that shapes can share some.
    Object(&'static [&'static [Field]]),
    /// Ignored.
    Any,
}

/// A field: the name in our type, which is Consul's, and its name in snake case where Consul accepts that too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) alias: &'static str,
    pub(crate) shape: Shape,
}

/// A field with one name.
pub(crate) const fn field(name: &'static str, shape: Shape) -> Field {
    Field { name, alias: "", shape }
}

/// A field with two names.
pub(crate) const fn aliased(name: &'static str, alias: &'static str, shape: Shape) -> Field {
    Field { name, alias, shape }
}

/// Normalizes a value: fields get their canonical names, durations become nanoseconds, `null` is removed.
///
/// # Errors
///
/// The value does not match. The error is that of Go's decoder.
pub(crate) fn fit(value: Value, shape: Shape, path: &str) -> Result<Value, String> {
    match (shape, value) {
        (Shape::Any, value) => Ok(value),
        (_, Value::Null) => Ok(Value::Null),
        (Shape::Text, value @ Value::String(_)) | (Shape::Flag, value @ Value::Bool(_)) => {
            Ok(value)
        }
        (Shape::Int, Value::Number(number)) if number.is_i64() => Ok(Value::Number(number)),
        (Shape::Int, Value::Number(number)) => {
            Err(mismatch(&format!("number {number}"), path, shape))
        }
        (Shape::Duration, value) => nanoseconds(&value, path),
        (Shape::List(item), Value::Array(items)) => {
            items.into_iter().map(|value| element(value, *item, path)).collect()
        }
        (Shape::Map(item), Value::Object(map)) => {
            let fit = |(key, value)| Ok((key, element(value, *item, path)?));
            map.into_iter().map(fit).collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
        (Shape::Object(fields), Value::Object(map)) => object(map, fields, path),
        (shape, value) => Err(mismatch(kind(&value), path, shape)),
    }
}

/// An element of a list or a map. Unlike a field it cannot be left out, so `null` is the zero value, as in Go.
fn element(value: Value, shape: Shape, path: &str) -> Result<Value, String> {
    match fit(value, shape, path)? {
        Value::Null => Ok(zero(shape)),
        value => Ok(value),
    }
}

fn zero(shape: Shape) -> Value {
    match shape {
        Shape::Text => Value::from(""),
        Shape::Int | Shape::Duration => Value::from(0),
        Shape::Flag => Value::from(false),
        Shape::List(_) => Value::Array(Vec::new()),
        Shape::Map(_) | Shape::Object(_) => Value::Object(Map::new()),
        Shape::Any => Value::Null,
    }
}

fn object(
    map: Map<String, Value>,
    fields: &'static [&'static [Field]],
    path: &str,
) -> Result<Value, String> {
    let mut fitted = Map::new();
    for (key, value) in map {
        let named = |name: &str| !name.is_empty() && name.eq_ignore_ascii_case(&key);
        let Some(field) =
            fields.iter().copied().flatten().find(|field| named(field.name) || named(field.alias))
        else {
            return Err(format!("json: unknown field {key:?}"));
        };
        let path = format!("{path}.{}", field.name);
        match fit(value, field.shape, &path)? {
            Value::Null => {}
            value => {
                fitted.insert(field.name.to_owned(), value);
            }
        }
    }
    Ok(Value::Object(fitted))
}

fn nanoseconds(value: &Value, path: &str) -> Result<Value, String> {
    match value {
        Value::String(text) => duration::parse(text).map(Value::from),
        Value::Number(number) => match number.as_f64() {
            Some(nanos) => Ok(Value::from(nanos as i64)),
            None => Err(mismatch("number", path, Shape::Duration)),
        },
        other => Err(mismatch(kind(other), path, Shape::Duration)),
    }
}

fn mismatch(found: &str, path: &str, shape: Shape) -> String {
    let wanted = match shape {
        Shape::Text => "string",
        Shape::Int => "int",
        Shape::Flag => "bool",
        Shape::Duration => "time.Duration",
        Shape::List(Shape::Text) => "[]string",
        Shape::List(_) => "list",
        Shape::Map(_) => "map",
        Shape::Object(_) | Shape::Any => "struct",
    };
    format!("json: cannot unmarshal {found} into Go struct field {path} of type {wanted}")
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
