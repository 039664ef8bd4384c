"""The small repository that ``agent demo`` repairs, as text; it does nothing.

``orders`` prices an order. One comparison is wrong, and only two of its eight tests notice.
"""

from __future__ import annotations

FILES: dict[str, str] = {
    "README.md": """\
# orders

Prices an order: line totals, a discount for large quantities, shipping. Amounts are whole cents.
Ten pieces or more of one article get 10 % off. Orders of 50.00 or more ship for free.
""",
    "orders/__init__.py": '"""Prices an order."""\n',
    "orders/money.py": '''\
"""Amounts of money as whole cents."""


def parse(text: str) -> int:
    """Cents from a price such as "12.50" or "3"."""
    whole, _, fraction = text.partition(".")
    return int(whole) * 100 + int((fraction + "00")[:2])


def show(cents: int) -> str:
    """A price for people: 1250 becomes "12.50"."""
    return f"{cents // 100}.{cents % 100:02d}"
''',
    "orders/pricing.py": '''\
"""What an order costs."""

from dataclasses import dataclass

BULK_QUANTITY = 10
BULK_DISCOUNT_PERCENT = 10
FREE_SHIPPING_FROM = 5000
SHIPPING = 490


@dataclass(frozen=True)
class Line:
    """One article of an order."""

    name: str
    unit_price: int
    quantity: int


def line_total(line: Line) -> int:
    """Price of one line in cents; ten pieces or more get the bulk discount."""
    total = line.unit_price * line.quantity
    if line.quantity > BULK_QUANTITY:
        total -= total * BULK_DISCOUNT_PERCENT // 100
    return total


def shipping(goods: int) -> int:
    """Shipping in cents for goods of this value."""
    return 0 if goods >= FREE_SHIPPING_FROM else SHIPPING


def order_total(lines: list[Line]) -> int:
    """Price of the whole order in cents, shipping included; an empty order costs nothing."""
    if not lines:
        return 0
    goods = sum(line_total(line) for line in lines)
    return goods + shipping(goods)
''',
    "orders/receipt.py": '''\
"""An order as text."""

from orders.money import show
from orders.pricing import Line, line_total, order_total


def receipt(lines: list[Line]) -> str:
    """One text line for each article, and the total at the end."""
    rows = [f"{line.quantity} x {line.name}: {show(line_total(line))}" for line in lines]
    return "\\n".join([*rows, f"Total: {show(order_total(lines))}"])
''',
    "tests/test_money.py": """\
import unittest

from orders.money import parse, show


class MoneyTest(unittest.TestCase):
    def test_parse_reads_whole_and_fraction(self):
        self.assertEqual(parse("12.50"), 1250)
        self.assertEqual(parse("3"), 300)

    def test_show_is_the_inverse_of_parse(self):
        self.assertEqual(show(parse("0.05")), "0.05")
""",
    "tests/test_pricing.py": """\
import unittest

from orders.pricing import Line, line_total, order_total


class PricingTest(unittest.TestCase):
    def test_nine_pieces_cost_nine_times_one(self):
        self.assertEqual(line_total(Line("pen", 200, 9)), 1800)

    def test_ten_pieces_get_the_bulk_discount(self):
        self.assertEqual(line_total(Line("pen", 200, 10)), 1800)

    def test_eleven_pieces_get_the_bulk_discount(self):
        self.assertEqual(line_total(Line("pen", 100, 11)), 990)

    def test_small_orders_pay_for_shipping(self):
        self.assertEqual(order_total([Line("pen", 200, 1)]), 690)

    def test_an_empty_order_costs_nothing(self):
        self.assertEqual(order_total([]), 0)
""",
    "tests/test_receipt.py": """\
import unittest

from orders.pricing import Line
from orders.receipt import receipt


class ReceiptTest(unittest.TestCase):
    def test_a_receipt_shows_lines_and_total(self):
        text = receipt([Line("book", 1000, 10)])
        self.assertEqual(text, "10 x book: 90.00\\nTotal: 90.00")
""",
    "tests/__init__.py": "",
}
