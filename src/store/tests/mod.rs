//! The contract, told as stories over every store, and played against a model.

pub(in crate::store) mod cells;
mod cells_model;
mod model;
mod stories;
mod world;

pub(crate) use world::World;

/// Makes a test of each story for each store.
macro_rules! over_every_store {
    ($stories:ident: $($story:ident),+ $(,)?) => {
        over_every_store!(memory, $stories: $($story),+);
        over_every_store!(embedded, $stories: $($story),+);
        over_every_store!(redis, $stories: $($story),+);
    };
    ($store:ident, $stories:ident: $($story:ident),+) => {
        mod $store {
            use super::super::{World, $stories};
            $(#[tokio::test]
            async fn $story() {
                $stories::$story(&mut World::$store().await).await;
            })+
        }
    };
}

mod of_values {
    over_every_store!(
        stories:
        a_value_is_written_only_over_the_version_that_was_read,
        a_value_taken_away_is_gone_and_may_be_written_anew,
        values_of_any_octets_come_back,
        values_are_listed_by_prefix_in_the_order_of_their_keys,
        a_counter_grants_up_to_its_cap,
        what_was_given_back_can_be_taken_again,
        counters_are_raised_together,
        counters_stay_at_the_largest_number,
        a_value_and_a_counter_may_share_a_key,
        nothing_is_asked_where_nothing_is_named,
        many_takers_use_a_cap_fully_and_never_pass_it,
        of_many_writers_of_one_version_one_wins,
    );
}

mod of_cells {
    over_every_store!(
        cells:
        cells_hold_what_was_set_and_nothing_where_it_was_taken_away,
        a_bucket_gives_its_fields_in_order_and_knows_its_table,
        a_field_that_is_too_long_is_refused_and_nothing_is_set,
        writers_of_one_bucket_lose_nothing_of_each_other,
        cells_outlive_the_store_that_set_them,
        answers_come_in_the_order_of_the_questions,
        fields_have_no_octets_to_255,
        a_bucket_whose_last_field_is_taken_away_is_none,
        thousands_of_changes_are_one_write,
        askers_see_all_of_a_write_or_nothing_of_it,
        many_askers_are_each_told_their_own,
        cells_outlive_a_crash,
        a_cell_is_removed_only_where_it_holds_what_was_seen,
        what_is_renewed_while_it_is_removed_stays,
    );
}
