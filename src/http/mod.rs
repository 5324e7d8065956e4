//! Metrics, health and the API.
