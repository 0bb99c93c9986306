//! The PostgreSQL store against the suite of all stores, on a real server.

#[macro_use]
mod conformance;
mod postgres;

fn place() -> Option<impl conformance::Place> {
    postgres::server().map(postgres::place_on)
}

fn sealed_place() -> Option<impl conformance::Place> {
    postgres::server().map(postgres::sealed_place_on)
}

store_conformance!(postgres_store, super::place);
store_conformance!(sealed_postgres_store, super::sealed_place);
