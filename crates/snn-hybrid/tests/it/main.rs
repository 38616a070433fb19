//! Tests of policies: as data, on networks, composed, and what the book says of them.

mod book;
mod composition;
mod corpus;
mod data;
mod places;
mod policies;
mod ratio;
