"""Word ends from probabilities whose spikes are known."""

import numpy as np

from training.align import word_ends
from training.phones import BLANK, CLASSES


def spikes(rows, places):
    """Log probabilities: blank but for {row: phone}."""
    p = np.full((rows, CLASSES), 1e-4)
    p[:, BLANK] = 0.9
    for row, phone in places.items():
        p[row] = 1e-4
        p[row, phone] = 0.9
    return np.log(p)


def test_a_word_ends_with_its_last_phone():
    log_probs = spikes(40, {3: 5, 7: 6, 12: 6, 20: 9, 21: 9, 30: 4})
    assert word_ends(log_probs, [[5, 6], [6, 9], [4]]) == [7, 21, 30]


def test_phones_without_a_blank_between_them():
    assert word_ends(spikes(10, {2: 5, 3: 6, 4: 7}), [[5], [6, 7]]) == [2, 4]


def test_a_phone_that_was_not_heard_is_somewhere():
    one, two, three = word_ends(spikes(20, {3: 5, 15: 7}), [[5], [6], [7]])
    assert 3 <= one < two < three == 15


def test_long_texts():
    phones = [1 + n % 7 for n in range(200)]
    places = {3 * n + 2: phone for n, phone in enumerate(phones)}
    assert word_ends(spikes(610, places), [phones[:150], phones[150:]]) == [3 * 149 + 2, 3 * 199 + 2]


def test_too_few_rows_have_no_path():
    assert word_ends(spikes(2, {0: 5}), [[5, 6, 7]]) is None
