//! The suppression list as the API tells of it.

use super::body::Body;
use super::problem::Problem;
use super::{Control, Refusal};
use crate::mail::{Address, Stream};
use crate::policy::suppression::{Reason, Record, Scope};
use crate::units::Timestamp;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The query of `GET /api/v1/suppressions`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WhichSuppressed {
    /// Where the page before said to go on.
    pub after: Option<u32>,
    pub limit: Option<usize>,
    pub tenant: Option<String>,
    pub reason: Option<Reason>,
}

/// A page of the list, in no order that means anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SuppressedPage {
    pub records: Vec<Record>,
    /// Absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// The query of `GET /api/v1/suppressions/check`: whether mail like this would go. The answer is a list of records; an
/// empty one means yes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsSuppressed {
    pub address: Address,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
}

/// One address to add.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addition {
    pub address: Address,
    #[serde(default = "everybody")]
    pub scope: Scope,
    #[serde(default = "by_hand")]
    pub reason: Reason,
    /// RFC 3339; absent: until it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    #[serde(default)]
    pub note: String,
}

/// The order of `POST /api/v1/suppressions/add`, answered with [`Changed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Additions {
    pub entries: Vec<Addition>,
    /// Who asks for it: for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The order of `POST /api/v1/suppressions/remove`: it may be written to again. Answered with [`Changed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    pub address: Address,
    #[serde(default = "everybody")]
    pub scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The order of `POST /api/v1/suppressions/erase`: nothing is to name it any more. Answered with [`Erased`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    pub address: Address,
    /// It may be written to again, too.
    #[serde(default)]
    pub forget: bool,
}

/// How many it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    pub count: u64,
}

/// What was done to forget an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Records of the suppression list.
    pub records: u64,
    /// Messages that waited for it.
    pub messages: u64,
    /// Lines of the event log that named it; absent while they are still looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
}

/// An order about the list.
#[derive(Debug, Clone, PartialEq)]
pub enum Suppress {
    Add(Additions),
    Remove(Removal),
}

fn everybody() -> Scope {
    Scope::Global
}

fn by_hand() -> Reason {
    Reason::Manual
}

pub(super) async fn list<C: Control>(
    State(control): State<Arc<C>>,
    query: Result<Query<WhichSuppressed>, QueryRejection>,
) -> Result<Json<SuppressedPage>, Problem> {
    let Query(which) = query?;
    Ok(Json(control.suppressed(&which).await?))
}

pub(super) async fn check<C: Control>(
    State(control): State<Arc<C>>,
    query: Result<Query<IsSuppressed>, QueryRejection>,
) -> Result<Json<Vec<Record>>, Problem> {
    let Query(which) = query?;
    Ok(Json(control.is_suppressed(&which).await?))
}

pub(super) async fn add<C: Control>(
    State(control): State<Arc<C>>,
    order: Result<Body<Additions>, Problem>,
) -> Result<Json<Changed>, Problem> {
    let Body(order) = order?;
    answered(control.suppress(&Suppress::Add(order)).await)
}

pub(super) async fn remove<C: Control>(
    State(control): State<Arc<C>>,
    order: Result<Body<Removal>, Problem>,
) -> Result<Json<Changed>, Problem> {
    let Body(order) = order?;
    answered(control.suppress(&Suppress::Remove(order)).await)
}

pub(super) async fn erase<C: Control>(
    State(control): State<Arc<C>>,
    order: Result<Body<Erasure>, Problem>,
) -> Result<Json<Erased>, Problem> {
    let Body(order) = order?;
    Ok(Json(control.erase(&order).await?))
}

fn answered(done: Result<Changed, Refusal>) -> Result<Json<Changed>, Problem> {
    Ok(Json(done?))
}
