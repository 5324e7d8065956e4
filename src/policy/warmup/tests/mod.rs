//! The whole of it in one process: stories, crashes, clocks and nodes.

mod budget;
mod day;
mod operators;
mod property;
mod stores;
mod story;
mod world;
