//! The handlers of traffic control: verdicts, warm-ups, sources.

use super::body::{Body, read};
use super::problem::Problem;
use super::{
    Control, Lift, Lifted, Pause, Question, Release, Released, Report, SourceEntry, Steer, Steered,
    Verdict, WhichReputation, WhichWarmup,
};
use crate::policy::warmup::Position;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use std::sync::Arc;

pub(super) async fn explain<C: Control>(
    State(control): State<Arc<C>>,
    query: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Verdict>, Problem> {
    let Query(question) = query?;
    if question.engagement.is_some_and(|points| points > 100) {
        return Err(Problem::bad_request("engagement goes from 0 to 100"));
    }
    Ok(Json(control.explain(&question).await?))
}

pub(super) async fn warmups<C: Control>(
    State(control): State<Arc<C>>,
    query: Result<Query<WhichWarmup>, QueryRejection>,
) -> Result<Json<Vec<Position>>, Problem> {
    let Query(which) = query?;
    Ok(Json(control.warmups(&which)?))
}

pub(super) async fn steer<C: Control>(
    State(control): State<Arc<C>>,
    name: Result<Path<String>, PathRejection>,
    body: Result<Body<serde_json::Value>, Problem>,
) -> Result<Json<Steered>, Problem> {
    let Path(name) = name?;
    let Body(body) = body?;
    let order = match name.as_str() {
        "pause" => Steer::Pause(pause(body)?),
        "resume" => Steer::Resume(read(body)?),
        "set" => Steer::Set(read(body)?),
        _ => {
            return Err(Problem::not_found(format!(
                "{name} is not pause, resume or set"
            )));
        }
    };
    Ok(Json(control.steer(&order).await?))
}

fn pause(body: serde_json::Value) -> Result<Pause, Problem> {
    let pause: Pause = read(body)?;
    match (pause.until, pause.span) {
        (Some(_), Some(_)) => Err(Problem::bad_request("write \"until\" or \"for\", not both")),
        _ => Ok(pause),
    }
}

pub(super) async fn sources<C: Control>(State(control): State<Arc<C>>) -> Json<Vec<SourceEntry>> {
    Json(control.sources())
}

pub(super) async fn reputations<C: Control>(
    State(control): State<Arc<C>>,
    query: Result<Query<WhichReputation>, QueryRejection>,
) -> Result<Json<Report>, Problem> {
    let Query(which) = query?;
    Ok(Json(control.reputations(&which)?))
}

pub(super) async fn release<C: Control>(
    State(control): State<Arc<C>>,
    order: Result<Body<Release>, Problem>,
) -> Result<Json<Released>, Problem> {
    let Body(order) = order?;
    Ok(Json(control.release(&order).await?))
}

pub(super) async fn lift<C: Control>(
    State(control): State<Arc<C>>,
    order: Result<Body<Lift>, Problem>,
) -> Result<Json<Lifted>, Problem> {
    let Body(order) = order?;
    if order.site.is_some() && order.provider.is_some() {
        return Err(Problem::bad_request(
            "write \"site\" or \"provider\", not both: a suspension is from one of them",
        ));
    }
    Ok(Json(control.lift(&order)?))
}
