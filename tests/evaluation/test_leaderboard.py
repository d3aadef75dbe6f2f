import csv
import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import pytest

from limelight.config import Evaluate, Rule
from limelight.data.manifest import manifest_hash
from limelight.foundation.errors import UserError
from limelight.reporting.compare import _contest, compare, write_leaderboard
from limelight.reporting.leaderboard import Contest, Leaderboard, tracked_results
from limelight.reporting.report import write_report
from limelight.reporting.results import chosen_metrics, results_csv, results_tex
from limelight.reporting.rows import Row, read_reports, with_speed_ups
from limelight.reporting.rule import TIE, choose_champion
from limelight.reporting.tables import tables
from limelight.tasks.saliency import TASK

WFM = TASK.rule


def row(artifact, value=0.8, runtime="torch", metric="wFm", parameters=10, ms=5.0, datasets=("ONE", "TWO")):
    figures = {} if value is None else {metric: value}
    return Row(
        artifact,
        runtime,
        {dataset: figures for dataset in datasets},
        figures,
        parameters=parameters,
        network_ms=ms,
        total_ms=ms,
    )


def test_the_best_row_wins():
    champion = choose_champion([row("a", 0.7), row("b", 0.9), row("c", 0.8)], WFM, TASK)
    assert (champion.artifact, champion.runtime, champion.value, champion.dataset) == ("b", "torch", 0.9, "mean")
    assert champion.runner_up == {"artifact": "c", "runtime": "torch", "value": 0.8}
    assert "highest wFm" in champion.reason


def test_low_errors_win():
    rows = [row("a", 0.07, metric="mae"), row("b", 0.05, metric="mae")]
    champion = choose_champion(rows, Rule(metric="mae"), TASK)
    assert champion.artifact == "b"
    assert "lowest mae" in champion.reason


def test_of_equals_the_fastest_wins_then_the_smallest_then_the_first_by_name():
    slow, fast = row("slow", 0.8 + TIE / 2, ms=9), row("fast", 0.8, ms=3)
    champion = choose_champion([slow, fast, row("other", 0.79, ms=1)], WFM, TASK)
    assert champion.artifact == "fast"
    assert champion.runner_up["artifact"] == "slow"
    assert "fastest (3.0 ms" in champion.reason
    assert choose_champion([row("big", parameters=20), row("small")], WFM, TASK).artifact == "small"
    assert choose_champion([row("z"), row("a")], WFM, TASK).artifact == "a"
    assert choose_champion([row("slow", 0.8 + 3 * TIE, ms=9), fast], WFM, TASK).artifact == "slow"


def test_limits():
    rows = [row("heavy", 0.9, parameters=1000), row("slow", 0.85, ms=50), row("light", 0.7)]
    champion = choose_champion(rows, Rule(metric="wFm", max_parameters=100, max_latency_ms=10), TASK)
    assert champion.artifact == "light"
    assert champion.runner_up is None
    assert "1 of 3 rows" in champion.reason
    with pytest.raises(UserError, match=r"none of 3 rows keeps within 5 parameters.*nearest is light \(torch\)"):
        choose_champion(rows, Rule(metric="wFm", max_parameters=5), TASK)


def test_one_dataset_decides_if_the_rule_says_so():
    a, b = row("a", 0.9), row("b", 0.1)
    b.datasets["TWO"] = {"wFm": 0.95}
    assert choose_champion([a, b], Rule(metric="wFm", dataset="TWO"), TASK).artifact == "b"
    with pytest.raises(UserError, match=r"'THREE'.*ONE, TWO"):
        choose_champion([a, b], Rule(metric="wFm", dataset="THREE"), TASK)


def test_rows_without_the_figure_without_weights_or_without_a_dataset_cannot_win():
    undefined = row("undefined", None)
    maps = row("maps", 0.99, parameters=None, ms=None)
    partial = row("partial", 0.98, datasets=("ONE",))
    assert choose_champion([undefined, maps, partial, row("a", 0.5)], WFM, TASK).artifact == "a"
    with pytest.raises(UserError, match="no evaluated artifact has wFm"):
        choose_champion([undefined, maps], WFM, TASK)
    with pytest.raises(UserError, match="'fid'; choose one of Sm"):
        choose_champion([row("a")], Rule(metric="fid"), TASK)


def test_speed_ups():
    rows = with_speed_ups(
        [row("a", ms=8), row("a-deploy", ms=4), row("a-deploy", ms=2, runtime="onnx-fp32"), row("b", ms=16)]
    )
    assert [row.faster_than_slowest for row in rows] == [2, 4, 8, 1]
    assert [row.faster_than_training_form for row in rows] == [None, 2, 4, None]


NAMES = ("student", "student-deploy", "teacher")


@pytest.fixture(scope="module")
def board(evaluation, samples, tmp_path_factory):
    """A student in two forms, its teacher and another method's maps."""
    folder = tmp_path_factory.mktemp("reports")
    for name in (*NAMES, "no longer evaluated"):
        write_report(replace(evaluation, artifact=name), samples, folder / "eval" / name, threads=1)
    for sample in samples:
        path = folder / "other" / f"{sample.sample_id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.imread(sample.mask))
    settings = Evaluate(workers=0, maps={"other <b>": str(folder / "other")})
    board = compared(folder, samples, settings)
    write_leaderboard(*board, folder / "board")
    return folder, *board


def compared(folder, samples, settings, **trees):
    reproduce = {"command": "dvc repro compare", "profile": "demo", "dirty": "true"}
    trees = {"ONE": "1", "TWO": "2", **trees}
    return compare(folder / "eval", NAMES, samples, settings, {}, {"student": "teacher"}, reproduce, trees=trees)


def test_leaderboard_rows(board):
    _, leaderboard, pictures = board
    contest = leaderboard.contests["saliency"]
    assert contest.rows[0].artifact == "other <b>"  # the masks themselves
    assert contest.rows[0].mean["mae"] == 0
    rows = {row.artifact: row for row in contest.rows}
    assert rows["student-deploy"].teacher == rows["student"].teacher == "teacher"
    assert rows["teacher"].teacher == ""
    assert rows["student-deploy"].faster_than_training_form == 1
    assert contest.champion.artifact != "other <b>"
    assert leaderboard.left_out.keys() == {f"{name} (onnx-fp32)" for name in NAMES}
    assert [tile.title for tile in pictures["TWO/001"]][:2] == ["picture", "mask"]
    assert pictures["TWO/001"][-1].note == "MAE 0.000"


def test_files(board, evaluation):
    folder, leaderboard, _ = board
    contest = leaderboard.contests["saliency"]
    written = json.loads((folder / "board" / "leaderboard.json").read_text())["contests"]["saliency"]
    assert [row["artifact"] for row in written["rows"]] == [row.artifact for row in contest.rows]
    (champion,) = json.loads((folder / "board" / "champion.json").read_text()).values()
    assert champion["artifact"] == contest.champion.artifact
    assert champion["weights_sha256"] == contest.rows[1].weights_sha256 != ""
    assert champion["code_sha256"] == evaluation.code_sha256 and len(evaluation.code_sha256) == 64
    assert champion["manifest_sha256"] == leaderboard.manifest_sha256
    assert champion["folder_sha256"] == evaluation.folder_sha256 != ""
    assert champion["data_sha256"] == leaderboard.data_sha256
    text = (folder / "board" / "leaderboard.md").read_text()
    assert "dvc repro compare" in text
    assert "**0.000 ± 0.000**" in text  # the best MAE stands out
    assert f"<ins>{contest.rows[1].mean['mae']:.3f} ± " in text  # and the second best


def test_champion_json_changes_with_exports_alone(board, evaluation, samples, tmp_path):
    """So that DVC packages the champion anew."""
    folder, before, _ = board
    shutil.copytree(folder / "eval", tmp_path / "eval")
    name = before.contests["saliency"].champion.artifact
    exported = replace(evaluation, artifact=name, folder_sha256="of other exports")
    write_report(exported, samples, tmp_path / "eval" / name, threads=1)
    after, _ = compared(tmp_path, samples, Evaluate(workers=0))
    own, other = (leaderboard.champions()["saliency"] for leaderboard in (before, after))
    assert {name for name in own if own[name] != other[name]} == {"folder_sha256"}


def test_the_data_s_hash_changes_with_the_masks_of_the_datasets_compared(board, samples):
    folder, leaderboard, _ = board
    same, _ = compared(folder, samples, Evaluate(workers=0), THREE="corrected")
    other, _ = compared(folder, samples, Evaluate(workers=0), TWO="corrected")
    assert same.data_sha256 == leaderboard.data_sha256 != other.data_sha256
    assert same.manifest_sha256 == other.manifest_sha256


def test_page_is_well_formed_escaped_and_needs_no_network(board):
    page = (board[0] / "board" / "leaderboard.html").read_text()
    stack, images = [], []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag == "img":
                images.append(dict(attributes)["src"])
            if tag not in ("meta", "img", "br", "source"):
                stack.append(tag)

        def handle_endtag(self, tag):
            assert stack.pop() == tag

    Parser().feed(page)
    assert not stack
    assert all(source.startswith("data:image/") for source in images)
    assert "http" not in page
    assert "other <b>" not in page
    assert "other &lt;b&gt;" in page


def test_best_of_each_column_is_marked(board):
    networks, mean, *datasets = tables(board[1])
    assert networks.rows[0][1].best
    assert [table.title for table in datasets] == ["ONE", "TWO"]
    assert all(cell.best for cell in mean.rows[0][1:])
    assert not any(cell.best for cell in mean.rows[-1][1:])
    assert any(cell.value is not None for cell in mean.rows[1][1:])
    assert all(cell.second for cell in mean.rows[1][1:] if cell.value is not None)
    with_errors = [
        title for title, cell in zip(datasets[0].header, datasets[0].rows[1], strict=True) if "±" in cell.text
    ]
    assert with_errors == ["S ↑", "MAE ↓", "wF ↑", "IoU ↑", "mBA ↑"]
    assert "±" in mean.rows[1][2].text and "±" in networks.rows[1][1].text


def test_result_table_as_csv(board):
    folder, leaderboard, _ = board
    contest = leaderboard.contests["saliency"]
    rows = list(csv.DictReader((folder / "board" / "results-saliency.csv").open()))
    names = [f"{group}/{metric}" for group in ("ONE", "TWO", "mean") for metric in contest.table]
    assert list(rows[0]) == ["artifact", "runtime", *names]
    assert contest.table == [name for name in TASK.metrics if name in contest.rows[0].mean]  # all that were measured
    assert [(row["artifact"], row["runtime"]) for row in rows] == [(row.artifact, row.runtime) for row in contest.rows]
    for row, own in zip(rows, contest.rows, strict=True):
        assert float(row["ONE/maxBIoU"]) == pytest.approx(own.datasets["ONE"]["maxBIoU"], abs=1e-6)
        assert float(row["mean/mae"]) == pytest.approx(own.mean["mae"], abs=1e-6)


def ranked(*values):
    """A contest of rows with these figures of MAE and wF on one dataset."""
    rows = [row(f"net_{index}") for index in range(len(values))]
    for each, (mae, wfm) in zip(rows, values, strict=True):
        each.datasets.update(ONE={"mae": mae, "wFm": wfm}, TWO={"mae": mae})
        each.mean.clear()
    return Contest(rows, choose_champion(rows, Rule(metric="mae", dataset="ONE"), TASK), ["mae", "wFm"])


def test_result_table_as_latex():
    contest = ranked((0.05, 0.9), (0.0501, 0.7), (0.061, 0.8))
    assert results_tex(contest, TASK.metrics).splitlines() == [
        r"% Best in bold, second best underlined. Needs \usepackage{booktabs}.",
        r"\begin{tabular}{l*{6}{r}}",
        r"\toprule",
        r" & \multicolumn{2}{c}{ONE} & \multicolumn{2}{c}{TWO} & \multicolumn{2}{c}{mean} \\",
        r"\cmidrule(lr){2-3}\cmidrule(lr){4-5}\cmidrule(lr){6-7}",
        r"method" + r" & MAE $\downarrow$ & wF $\uparrow$" * 3 + r" \\",
        r"\midrule",
        r"net\_0 (torch) & \textbf{0.050} & \textbf{0.900} & \textbf{0.050} & -- & -- & -- \\",
        r"net\_1 (torch) & \textbf{0.050} & 0.700 & \textbf{0.050} & -- & -- & -- \\",
        r"net\_2 (torch) & \underline{0.061} & \underline{0.800} & \underline{0.061} & -- & -- & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_means_over_fewer_datasets_are_neither_ranked_nor_shown() -> None:
    whole, easy = row("whole", 0.8), row("easy", 0.88, datasets=("ONE",))
    contest = _contest([easy, whole], WFM, TASK)
    assert [each.artifact for each in contest.rows] == ["whole", "easy"]
    networks, mean, *_ = tables(Leaderboard({"saliency": contest}, [], {}, "", ""))
    for table in (networks, mean):
        assert table.rows[0][1].best and table.rows[1][1].text == "–"
    assert r"easy (torch) & \textbf{0.880} & -- & -- \\" in results_tex(contest, TASK.metrics)
    assert results_csv(contest).splitlines()[2] == "easy,torch,0.880000,,"


def test_metrics_of_the_result_table_can_be_chosen():
    rows = [row("a")]
    assert chosen_metrics(Rule(metric="wFm", table=["mae", "Sm"]), rows, TASK) == ["mae", "Sm"]
    assert chosen_metrics(WFM, rows, TASK) == ["wFm"]
    with pytest.raises(UserError, match=r"compare\.saliency\.table names 'mIoU'; choose of Sm, mae"):
        chosen_metrics(Rule(metric="wFm", table=["mIoU"]), rows, TASK)


def test_reports_on_other_data_are_left_out(board, samples):
    folder = board[0] / "eval"
    reports, left_out = read_reports(folder, NAMES, manifest_hash(samples))
    assert len(reports) == 3
    assert not left_out
    with pytest.raises(UserError, match="student, student-deploy, teacher were evaluated on other data"):
        read_reports(folder, NAMES, "0" * 64)


def test_what_the_tracker_is_told(board):
    folder, leaderboard, _ = board
    contest = leaderboard.contests["saliency"]
    log = tracked_results(leaderboard, folder / "board")
    assert log["metrics"]["student/torch/wFm"] == pytest.approx(contest.rows[1].mean["wFm"])
    assert all(isinstance(value, int | float) for value in log["metrics"].values())
    assert {path.name for path in log["artifacts"]} >= {"leaderboard.html", "champion.json"}
    assert log["params"]["champion_saliency"] == contest.champion.artifact
