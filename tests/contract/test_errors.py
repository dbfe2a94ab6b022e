from runner.contract.errors import KitError, LaunchFailed, all_errors, by_exit_code


def test_every_error_has_its_own_exit_code_and_says_what_it_means() -> None:
    kinds = all_errors()
    codes = [kind.exit_code for kind in kinds]
    assert len(set(codes)) == len(codes)
    assert 0 not in codes
    assert all("meaning" in vars(kind) and "exit_code" in vars(kind) for kind in kinds)


def test_a_rank_s_exit_code_names_its_error_again() -> None:
    assert by_exit_code(LaunchFailed.exit_code) is LaunchFailed
    assert by_exit_code(99) is KitError
