//! Tests of the state: properties over random histories, and single cases.

mod properties;
mod rows;
mod script;
