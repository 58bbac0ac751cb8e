"""What a peer's own tests check, and the test of ours that checks it: theirs on the left, ours on the right.

Source: go-workflows' backend suite (19), its end-to-end suite (45) and the cases of its executor.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFORMANCE = "src/perdure/testing/conformance"
GO = "tests/e2e/test_go_workflows.py"

BACKEND = {
    "CreateWorkflowInstance_DoesNotError": f"{CONFORMANCE}/creating.py::test_a_created_run_is_open_and_has_no_turns",
    "CreateWorkflowInstance_SameInstanceIDErrors": f"{CONFORMANCE}/creating.py::test_a_workflow_id_with_an_open_run_gets_no_other",
    "CreateWorkflowInstance_Metadata": f"{CONFORMANCE}/following.py::test_a_commit_can_change_the_route_and_the_note",
    "RemoveWorkflowInstance_ErrorWhenInstanceInProgress": f"{CONFORMANCE}/reading.py::test_closed_runs_are_deleted_with_their_history",
    "RemoveWorkflowInstance_ErrorWhenInstanceDoesNotExist": f"{CONFORMANCE}/reading.py::test_closed_runs_are_deleted_with_their_history",
    "GetWorkflowTask_ReturnsNilWhenTimeout": f"{CONFORMANCE}/waiting.py::test_a_wait_ends_after_its_time",
    "GetWorkflowTask_ReturnsTask": f"{CONFORMANCE}/creating.py::test_its_start_waits_for_whoever_claims_it",
    "GetWorkflowTask_ReturnsTaskFromGivenQueue": f"{CONFORMANCE}/claiming_runs.py::test_only_queues_and_types_of_the_request_are_claimed",
    "GetWorkflowTask_LocksTask": f"{CONFORMANCE}/claiming_runs.py::test_two_claimers_never_get_the_same_run",
    "CompleteWorkflowTask_ReturnsErrorIfNotLocked": f"{CONFORMANCE}/committing.py::test_a_repeated_commit_is_refused_and_changes_nothing",
    "CompleteWorkflowTask_AddsNewEventsToHistory": f"{CONFORMANCE}/committing.py::test_turns_are_kept_in_order",
    "CompleteWorkflowTask_SetsCompletedAtWhenFinished": f"{CONFORMANCE}/committing.py::test_a_run_can_be_created_and_closed_in_one_commit",
    "CompleteWorkflowTask_SendsInstanceEvents": f"{CONFORMANCE}/effects.py::test_deliveries_reach_the_run_itself_and_others",
    "SignalWorkflow_ErrorWhenInstanceDoesNotExist": f"{CONFORMANCE}/delivering.py::test_a_message_for_nobody_is_refused",
    "CancelWorkflow_ErrorWhenInstanceDoesNotExist": f"{GO}::test_a_closed_or_unknown_run_takes_no_signal",
    "CancelWorkflow_AddsCancelEventToPendingEvents": f"{CONFORMANCE}/delivering.py::test_a_message_waits_in_the_inbox_of_an_open_run",
    "GetActivityTask_ReturnsNilWhenTimeout": f"{CONFORMANCE}/claiming_attempts.py::test_an_attempt_is_claimed_when_it_is_due",
    "GetActivityTask_ReturnsTaskFromQueues": f"{CONFORMANCE}/claiming_attempts.py::test_only_queues_and_activities_of_the_request_are_claimed",
    "CompleteActivityTask_DeliversResultBackToWorkflowQueue": f"{CONFORMANCE}/claiming_attempts.py::test_an_answer_ends_the_attempt_and_tells_the_run",
}
END_TO_END = {
    "SimpleWorkflow": "tests/e2e/test_runs.py::test_a_workflow_runs_activities_and_timers_to_its_result",
    "Workflow_LotsOfActivities": f"{GO}::test_a_hundred_activities_are_taken_as_they_end",
    "SimpleWorkflow_ExpectedHistory": f"{GO}::test_the_history_of_a_workflow_without_steps",
    "UnregisteredWorkflow_Errors": "tests/e2e/test_bad_input_names.py::test_a_workflow_that_nobody_knows_is_refused_before_anything_is_stored",
    "WorkflowArgumentMismatch": "tests/e2e/test_bad_input_values.py::test_arguments_that_do_not_fit_are_refused_at_the_start",
    "UnregisteredActivity_Errors": "tests/e2e/test_bad_input_names.py::test_a_run_that_calls_an_unknown_activity_waits_until_it_is_registered",
    "ActivityArgumentMismatch": "tests/e2e/test_bad_input_values.py::test_arguments_of_calls_that_do_not_fit_fail_the_call_in_the_workflow",
    "SideEffect_Simple": f"{GO}::test_side_effects_add_up_across_turns",
    "Signal_after_completion": f"{GO}::test_a_closed_or_unknown_run_takes_no_signal",
    "NonDeterminism": "tests/e2e/test_runs.py::test_changed_code_parks_the_run_and_the_old_code_lets_it_go_on",
    "RemoveWorkflowInstance": f"{CONFORMANCE}/reading.py::test_closed_runs_are_deleted_with_their_history",
    "MaxHistorySize": "tests/e2e/test_continuing.py::test_an_endless_workflow_keeps_a_short_history",
    "SubWorkflow/Simple": "tests/e2e/test_runs.py::test_children_give_results_and_failures_and_follow_their_parent",
    "SubWorkflow/DuplicateActiveInstanceID": f"{GO}::test_a_childs_id_is_taken_while_it_runs_and_free_afterwards",
    "SubWorkflow/DuplicateInactiveInstanceID": f"{GO}::test_a_childs_id_is_taken_while_it_runs_and_free_afterwards",
    "SubWorkflow/PropagateCancellation": f"{GO}::test_a_cancellation_reaches_parent_and_children",
    "SubWorkflow/CancelBeforeStarting": f"{GO}::test_what_is_cancelled_before_it_started_leaves_no_trace",
    "SubWorkflow/Signal": f"{GO}::test_a_parent_signals_its_child",
    "ContextPropagation": "tests/e2e/test_context.py::test_context_goes_from_client_to_workflow_to_activities_and_children",
    "SubWorkflow/DifferentQueue": f"{GO}::test_a_child_on_another_queue_is_run_by_its_worker",
    "SubWorkflow/Signal_BeforeStarting": f"{GO}::test_a_signal_to_nobody_is_an_error_in_the_workflow",
    "Activity/Panic": f"{GO}::test_failures_keep_their_type_and_attempts_their_number",
    "Activity/CustomError": f"{GO}::test_failures_keep_their_type_and_attempts_their_number",
    "Activity/ReceiveAttempt": f"{GO}::test_failures_keep_their_type_and_attempts_their_number",
    "Activity/ExtendTask": f"{GO}::test_a_long_activity_is_extended_and_run_once",
    "ContinueAsNew/RestartsWorkflowInstance": "tests/e2e/test_continuing.py::test_the_result_is_that_of_the_last_run",
    "ContinueAsNew/Subworkflow": "tests/e2e/test_continuing.py::test_a_parent_does_not_notice_that_its_child_goes_on",
    "ContinueAsNew/OldInstancesAreRemoved": f"{CONFORMANCE}/reading.py::test_closed_runs_are_deleted_with_their_history",
    "Diag/Paging": f"{GO}::test_fifty_runs_are_listed_ten_at_a_time",
    "Diag/GetWorkflowInstance_ReturnsQueue": f"{GO}::test_fifty_runs_are_listed_ten_at_a_time",
    "Queues/OnlyPullsWorkflowsFromGivenQueues": f"{GO}::test_a_child_on_another_queue_is_run_by_its_worker",
    "RemoveWorkflowInstances/Removes": f"{CONFORMANCE}/reading.py::test_closed_runs_are_deleted_with_their_history",
    "AutoExpiration/StartsWorkflowAndRemoves": "tests/unit/test_worker_pausing.py::test_runs_that_closed_long_ago_are_deleted_a_few_at_a_time",
    "AutoExpiration/UpdateDelay": "tests/unit/test_worker_pausing.py::test_runs_that_closed_long_ago_are_deleted_a_few_at_a_time",
    "Stats/ActiveInstance": f"{GO}::test_counts_follow_the_life_of_a_run",
    "Timer/CancelWorkflowInstance": "tests/e2e/test_runs.py::test_a_cancelled_run_cleans_up_with_activities_and_closes_as_cancelled",
    "Timer/CancelBeforeStarting": f"{GO}::test_what_is_cancelled_before_it_started_leaves_no_trace",
    "Timer/CancelTwice": f"{GO}::test_timers_cancelled_twice_late_and_in_a_race",
    "Timer/CancelBeforeFiringRemovesFutureEvent": f"{GO}::test_timers_cancelled_twice_late_and_in_a_race",
    "Timer/ScheduleCancelRace": f"{GO}::test_timers_cancelled_twice_late_and_in_a_race",
}
EXECUTOR = {
    "simple workflow": "tests/unit/test_code_run.py::test_steps_one_after_another_count_their_calls",
    "activity replay": "tests/unit/test_code_run.py::test_a_completed_run_is_recalled",
    "selector": f"{GO}::test_a_hundred_activities_are_taken_as_they_end",
    "timer": "tests/unit/test_code_run.py::test_timers_and_activities_share_one_count",
    "cancel timer multiple times": f"{GO}::test_timers_cancelled_twice_late_and_in_a_race",
    "signal": "tests/unit/test_code_api.py::test_signals_wait_in_order_until_they_are_received",
    "completes on unhandled error": "tests/unit/test_code_run.py::test_an_exception_fails_the_run_with_its_type_and_cause",
    "schedule subworkflow": "tests/unit/test_code_children.py::test_a_workflow_called_in_a_workflow_is_its_child",
    "schedule and cancel subworkflow": "tests/unit/test_code_children.py::test_a_child_asked_for_and_cancelled_within_a_step_leaves_no_command",
    "pending futures": "tests/unit/test_code_run.py::test_what_other_tasks_wait_for_needs_no_command_when_the_function_returns",
    "Close removes goroutines": "tests/unit/test_code_closing.py::test_a_closed_run_leaves_nothing_in_memory",
    "continued-as-new": "tests/e2e/test_continuing.py::test_another_workflow_can_go_on",
    "InstanceExecutionDetails": "tests/unit/test_code_api.py::test_info_tells_what_is_known_of_the_run",
}
NOT_YET = {
    "Tracing/WorkflowsHaveSpans",
    "Tracing/TimersHaveSpans",
    "Tracing/TimersWithinCustomSpans",
} | {
    "Tracing/SubWorkflowsHaveSpansWithCorrectParent",
    "Tracing/InnerWorkflowSpansHaveCorrectParent",
}
"""OpenTelemetry spans come with the server."""
DEFECTS = {
    "signals before the channel arrive reversed": "tests/e2e/test_runs.py::test_signals_sent_before_they_are_read_arrive_once_and_in_order",
    "the 101st unread signal is dropped": "tests/e2e/test_continuing.py::test_signals_before_in_between_and_after_arrive_once_and_in_order",
    "signals pending at continue-as-new are lost": "tests/e2e/test_continuing.py::test_signals_before_in_between_and_after_arrive_once_and_in_order",
    "removal leaks history": f"{CONFORMANCE}/reading.py::test_closed_runs_are_deleted_with_their_history",
    "completion without the lock": f"{CONFORMANCE}/committing.py::test_a_worker_whose_lease_was_taken_commits_nothing",
    "no order in task selection": f"{CONFORMANCE}/claiming_runs.py::test_the_oldest_due_come_first",
    "results read the whole history": "tests/unit/test_worker_live.py::test_runs_that_stay_in_memory_are_never_read_again",
}
TABLES = {**BACKEND, **END_TO_END, **EXECUTOR, **DEFECTS}


@pytest.mark.parametrize("theirs", TABLES)
def test_the_test_that_stands_for_theirs_exists(theirs: str) -> None:
    file, _, name = TABLES[theirs].partition("::")
    tree = ast.parse((ROOT / file).read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}

    assert name in names


def test_none_of_theirs_is_forgotten() -> None:
    assert len(BACKEND) == 19
    assert len(END_TO_END) + len(NOT_YET) == 45
