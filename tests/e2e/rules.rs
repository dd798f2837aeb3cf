//! Which test fails when a rule of "Credentials", "Cedar", "Transport", "Limits" or "Audit" is removed. The table is
//! checked: every test that it names exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const CREDENTIALS: &[(&str, &[&str])] = &[
    (
        "a bootstrap credential is good for CSRs and the bundle alone",
        &[
            "a_credential_for_one_identity_serves_it_once_and_no_other",
            "every_endpoint_answers_every_principal_as_the_table_says",
        ],
    ),
    (
        "its principal is accepted with a warning",
        &["a_bootstrap_credential_for_anybody_comes_with_a_warning"],
    ),
    ("a bound one serves its identity once", &["a_credential_for_one_identity_serves_it_once_and_no_other"]),
    (
        "an unbound one serves as often as was said",
        &[
            "a_credential_for_any_identity_serves_as_often_as_was_said",
            "of_many_requests_at_once_as_many_are_served_as_was_said",
        ],
    ),
    (
        "an unbound one is refused for who holds a certificate; in --dev a warning",
        &[
            "a_credential_for_any_identity_serves_as_often_as_was_said",
            "a_preshared_credential_must_be_long_outside_dev",
        ],
    ),
    (
        "the same key gets the recorded certificate again",
        &[
            "a_credential_for_one_identity_serves_it_once_and_no_other",
            "a_used_credential_stays_used_after_a_restart",
        ],
    ),
    (
        "the preshared one is long, and its time runs over restarts",
        &[
            "a_preshared_credential_must_be_long_outside_dev",
            "the_preshared_credential_serves_any_number_until_its_time_has_run_over_restarts",
        ],
    ),
    ("preset secrets are stored as hashes", &["a_preset_secret_is_an_administrator_whose_name_is_system"]),
    (
        "a NODE gets certificates of its own node, never of auth",
        &["a_node_has_certificates_signed_for_itself_alone"],
    ),
    (
        "the system token lives a year, 0600, logged when made",
        &[
            "the_system_token_is_private_and_outlives_a_restart",
            "a_system_token_that_others_may_read_is_not_used_until_that_is_mended",
            "the_generated_token_says_what_it_is",
        ],
    ),
    ("it warns from 30 days", &["a_system_token_that_ends_soon_is_warned_of"]),
    ("it can be revoked", &["a_revoked_system_token_is_replaced_at_the_next_start_and_stays_revoked"]),
    (
        "a preset one is long, revocable, audited as system",
        &[
            "a_preset_secret_must_be_long_outside_dev",
            "a_preset_secret_that_was_revoked_serves_no_more_and_stops_the_next_start",
            "a_preset_secret_is_an_administrator_whose_name_is_system",
        ],
    ),
    ("the two preset secrets differ", &["one_secret_is_not_taken_for_an_administrator_and_for_nodes"]),
    (
        "rotation writes a fresh system token and says what dies",
        &[
            "tokens_of_the_key_before_are_taken_for_a_day",
            "at_once_means_at_once",
            "two_rotations_at_once_leave_one_system_token_that_works",
            "a_rotation_loses_no_token_that_is_made_meanwhile",
        ],
    ),
    (
        "recovery only beside the stopped service, on record",
        &[
            "a_new_system_token_is_made_beside_the_stopped_service_alone",
            "that_a_token_was_recovered_is_on_record",
        ],
    ),
    (
        "nobody grants more than they hold",
        &[
            "nobody_grants_more_than_they_hold",
            "a_policy_for_everything_opens_nothing_that_the_program_keeps_shut",
        ],
    ),
    (
        "a renewal needs a live certificate of ours of the same identity",
        &[
            "a_certificate_renews_itself_over_mutual_tls_and_is_good_for_nothing_else",
            "a_certificate_that_is_not_one_of_ours_is_nobodys",
            "a_revoked_or_held_certificate_proves_nothing",
        ],
    ),
    (
        "it is looked at for every request, on open sockets too",
        &[
            "a_certificate_that_ends_or_is_revoked_ends_its_open_connection",
            "a_certificate_of_a_revoked_ca_proves_nothing_on_an_open_connection_either",
            "a_revoked_certificate_ends_its_socket_and_a_bootstrap_credential_that_of_a_denied_identity",
        ],
    ),
    ("a proof has its type, algorithm, audience, CSR and life", &["a_proof_with_anything_wrong_is_refused"]),
    (
        "a proof serves once, over crashes, and is a bearer token nowhere",
        &["a_proof_serves_once_for_its_csr_at_its_place", "a_proof_that_served_is_used_after_a_crash_too"],
    ),
    (
        "X-Forwarded-Client-Cert is refused",
        &[
            "a_certificate_that_somebody_forwards_is_never_taken",
            "a_forwarded_certificate_is_refused_from_who_proves_one_too",
        ],
    ),
    (
        "a bound token needs its certificate, on loopback too",
        &[
            "a_token_bound_to_a_certificate_is_refused_without_it",
            "a_bound_token_works_with_its_certificate_and_no_other",
            "a_bound_token_needs_its_certificate_and_ends_with_it",
            "a_socket_over_tls_takes_a_bound_token_with_its_certificate_and_no_other",
        ],
    ),
    (
        "revocation holds from the next call on",
        &[
            "a_revocation_bites_at_the_next_call_on_an_open_connection",
            "a_revoked_token_is_dead_at_the_next_call_of_an_open_tls_connection",
            "a_token_that_is_used_while_it_is_revoked_never_works_afterwards",
            "of_revocations_at_once_one_counts",
            "a_revoked_token_ends_the_sockets_that_it_opened",
            "a_revoked_credential_ends_the_visit_it_was_brought_to_and_no_other",
        ],
    ),
    (
        "a denial ends the identity's open sockets at the next call",
        &["a_denied_identity_loses_its_open_sockets_at_the_next_call"],
    ),
    (
        "tokens are ours, recorded, in time and for us",
        &["a_forged_token_is_refused", "a_token_under_the_right_key_must_be_recorded_in_time_and_for_us"],
    ),
];

const CEDAR: &[(&str, &[&str])] = &[
    (
        "every endpoint asks the action and resource of the table",
        &["every_endpoint_answers_every_principal_as_the_table_says", "the_documentation_has_this_table"],
    ),
    (
        "what belongs to the whole deployment is a global ADMIN's",
        &[
            "what_belongs_to_the_whole_deployment_is_for_a_global_admin",
            "only_an_admin_without_bounds_passes_for_the_whole_deployment",
        ],
    ),
    (
        "no answer leaves without a decision",
        &[
            "an_answer_without_a_decision_is_held_back",
            "an_answer_of_a_method_without_a_decision_is_held_back",
        ],
    ),
    ("policy can narrow credentials", &["a_policy_can_narrow_what_credentials_may"]),
    (
        "policy can't widen what the program keeps shut",
        &[
            "a_policy_for_everything_opens_nothing_that_the_program_keeps_shut",
            "a_policy_for_everything_lets_no_certificate_bring_one_of_another_identity",
        ],
    ),
    (
        "an invalid policy stops the start, with file and line",
        &["a_broken_policy_directory_stops_the_start_and_is_named_with_file_and_line"],
    ),
    (
        "the last good policies go on at run time",
        &["a_policy_directory_that_vanishes_breaks_and_is_mended_while_the_service_runs"],
    ),
    (
        "what can't be evaluated is denied and logged",
        &[
            "a_policy_that_cannot_be_evaluated_denies_even_what_another_permits",
            "a_policy_that_cannot_be_evaluated_is_logged_once_a_minute",
        ],
    ),
];

const TRANSPORT: &[(&str, &[&str])] = &[
    (
        "loopback is plain by default, HTTPS elsewhere",
        &[
            "a_loopback_listener_speaks_plain_http_unless_it_is_told_otherwise",
            "https_is_spoken_beyond_loopback_and_on_it_where_that_is_asked_for",
            "the_first_octet_and_the_peer_decide",
        ],
    ),
    (
        "self-signed first, then the own SVID, without a restart",
        &[
            "the_service_begins_with_a_self_signed_certificate_and_goes_on_with_its_own_svid",
            "a_denied_service_shows_its_svid_no_more_until_it_is_allowed_again",
            "a_hundred_busy_connections_live_through_renewals",
        ],
    ),
    ("files are served and read again", &["files_are_served_and_read_again_and_a_broken_pair_is_not_taken"]),
    ("TLS 1.3, hybrid key exchange", &["openssl_and_curl_find_tls_1_3_and_a_certificate_they_believe"]),
    (
        "secrets are refused over plain HTTP from elsewhere",
        &[
            "secrets_are_neither_asked_for_nor_answered_where_they_can_be_read_on_the_way",
            "methods_with_secrets_are_refused_where_they_can_be_read_on_the_way",
        ],
    ),
    (
        "the CLI sends its token to the pinned root alone",
        &["the_token_goes_only_over_the_connection_that_the_pinned_root_vouches_for"],
    ),
    ("secret answers carry no-store", &["what_answers_a_secret_is_kept_by_no_cache"]),
    (
        "a page of another origin is refused",
        &[
            "a_page_of_any_origin_is_refused_unless_the_operator_names_it",
            "a_page_is_refused_whatever_certificate_its_browser_shows",
            "a_page_opens_no_socket_and_sends_no_batch_unless_the_operator_names_its_origin",
        ],
    ),
    (
        "a request is what its framing says, once",
        &["a_request_within_a_request_is_never_served", "a_length_and_chunks_together_smuggle_nothing"],
    ),
];

const LIMITS: &[(&str, &[&str])] = &[
    (
        "failures are counted per address, and hold up no good credential",
        &[
            "who_goes_on_failing_waits_and_others_do_not",
            "a_hundred_thousand_requests_of_nobody_leave_the_log_and_the_disk_as_they_were",
        ],
    ),
    (
        "heads, bodies and handshakes are not waited for",
        &[
            "heads_and_bodies_that_come_slowly_over_tls_are_not_waited_for",
            "a_body_that_does_not_come_is_not_waited_for_and_records_nothing",
            "who_stalls_in_the_handshake_is_cut_off",
        ],
    ),
    (
        "whoever opens a socket and is nobody, or is gone, keeps no place",
        &["who_shows_no_good_credential_has_five_minutes", "who_answers_no_question_for_a_minute_is_gone"],
    ),
    (
        "what is malformed is answered, and leaves nothing behind",
        &[
            "malformed_messages_end_in_a_reject_or_an_abort",
            "frames_that_are_no_text_or_too_long_end_in_an_abort",
            "what_goes_wrong_leaves_nothing_behind",
        ],
    ),
    (
        "connections are bounded",
        &[
            "ten_thousand_connections_that_never_come_to_the_point_leave_the_service_well",
            "ten_thousand_plain_connections_that_ask_nothing_leave_the_service_well",
            "one_address_gets_half_of_the_places_and_others_theirs",
        ],
    ),
];

const AUDIT: &[(&str, &[&str])] = &[
    (
        "every operation is on record, with serial, key and fingerprint",
        &["every_operation_leaves_a_record_that_says_who_did_it_to_what"],
    ),
    ("what can't be recorded does not happen", &["what_cannot_be_recorded_does_not_happen"]),
    (
        "policy denials are counted per principal, action and minute",
        &[
            "denials_by_policy_are_counted_into_few_records",
            "every_minute_denials_are_written_and_a_head_is_signed",
            "denials_are_counted_apart_up_to_a_measure",
            "a_no_is_one_denial_and_a_yes_none",
            "what_nobody_was_refused_is_in_no_record",
        ],
    ),
    (
        "failures of nobody are in no record",
        &["a_hundred_thousand_requests_of_nobody_leave_the_log_and_the_disk_as_they_were"],
    ),
    (
        "records are chained, and heads signed at the end and every minute",
        &[
            "a_record_that_was_edited_is_found",
            "every_minute_denials_are_written_and_a_head_is_signed",
            "heads_of_the_log_vouch_for_the_audit_log",
        ],
    ),
    (
        "a kept head shows truncation and rewriting",
        &[
            "records_that_were_cut_off_are_found_by_a_head_that_was_kept_elsewhere",
            "a_kept_head_shows_what_became_of_the_log",
        ],
    ),
    (
        "30 days in the store, then sealed and signed until 400 days",
        &[
            "what_is_older_than_thirty_days_goes_into_files_that_stand_for_themselves",
            "a_long_log_goes_in_pieces",
            "sealed_files_go_after_four_hundred_days",
        ],
    ),
    (
        "nothing is dropped before its file is durable",
        &[
            "a_crash_between_the_file_and_the_drop_costs_nothing",
            "a_file_in_whose_place_another_was_written_is_put_aside",
            "nothing_is_dropped_that_could_not_be_written_down",
            "a_clock_that_went_back_leaves_no_gap",
        ],
    ),
];

/// The names of all functions in the Rust files of a directory.
fn functions(directory: &Path, into: &mut BTreeSet<String>) {
    for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            functions(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(path).unwrap();
            let named = text.lines().filter_map(|line| line.split_once("fn ")?.1.split_once("()"));
            into.extend(named.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_rule_has_its_tests() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    functions(&root.join("src"), &mut known);
    functions(&root.join("tests/e2e"), &mut known);
    for (rule, tests) in [CREDENTIALS, CEDAR, TRANSPORT, LIMITS, AUDIT].concat() {
        for test in tests {
            assert!(known.contains(*test), "{rule}: there is no test {test}");
        }
    }
}
