"""Class workflows and their handles."""

from collections.abc import Callable, Coroutine
from typing import Any, assert_type

from perdure import Handle, UpdateHandle, Workflow, workflow
from tests.types.shop import Approval, Cart, PremiumCart, app

assert_type(Cart, type[Cart])
definition: Workflow[[str, int], list[str]] = Cart.run
bound: Callable[[str, int], Coroutine[Any, Any, list[str]]] = Cart("Ann").run


async def telling() -> None:
    """Everything that can be told and asked, by the method and by name."""
    handle = await app.start(Cart.run, "Ann", id="cart-1")
    assert_type(handle, Handle[list[str]])
    assert_type(await app.start(Cart.run, "Ann", 5), Handle[list[str]])
    assert_type(await app.start(PremiumCart.run, "Ann", 5), Handle[list[str]])
    assert_type(app.handle("cart-1", Cart.run), Handle[list[str]])
    await handle.signal(Cart.approve, Approval("me"))
    await handle.signal(Cart.stop, request_id="r")
    assert_type(await handle.query(Cart.total), float)
    assert_type(await handle.query(Cart.total, 2), float)
    assert_type(await handle.query("total", 2), Any)
    assert_type(await handle.update(Cart.add, "tea", id="u"), int)
    assert_type(await handle.update(Cart.add, "tea", 2), int)
    assert_type(await handle.update(Cart.clear), bool)
    assert_type(await handle.update("add", "tea", result_type=int), int)
    assert_type(await handle.update("add", "tea"), Any)
    assert_type(await handle.start_update(Cart.add, "tea"), UpdateHandle[int])
    assert_type(await (await handle.start_update(Cart.clear)).result(), bool)
    assert_type(await handle.update_handle("u", Cart.add).result(), int)
    assert_type(handle.update_handle("u"), UpdateHandle[Any])


def blocking() -> None:
    """For scripts."""
    assert_type(app.run(Cart.run, "Ann"), list[str])
    with app.blocking() as client:
        handle = client.start(Cart.run, "Ann")
        handle.signal(Cart.approve, Approval("me"))
        assert_type(handle.query(Cart.total), float)
        assert_type(handle.update(Cart.add, "tea", 2, id="u"), int)
        assert_type(handle.update(Cart.clear), bool)
        assert_type(handle.start_update(Cart.add, "tea", 2, id="u").result(), int)
        assert_type(handle.update_handle("u", Cart.clear).result(timeout=5), bool)
        assert_type(handle.update_handle("u").result(), Any)
        assert_type(handle.result(), list[str])


async def plain() -> None:
    """An object is plain code."""
    cart = Cart("Ann")
    assert_type(await cart.run("Ann"), list[str])
    assert_type(await cart.add("tea", count=2), int)
    assert_type(cart.clear(), bool)
    assert_type(cart.total(), float)


@app.workflow
async def inside() -> None:
    """A class is a child; functions register handlers."""
    assert_type(await Cart.run("Ann", limit=2), list[str])
    assert_type(await workflow.start_child(Cart.run, "Ann"), workflow.ChildHandle[list[str]])

    @workflow.update
    async def put(item: str) -> int:
        return len(item)

    @put.validator
    def check(item: str) -> None:
        assert item

    @workflow.signal(dynamic=True)
    def rest(name: str, value: Any) -> None: ...

    assert_type(await put("tea"), int)
    await workflow.wait_condition(lambda: True, timeout=5)
    assert_type(workflow.current_update_id(), str | None)
    del check, rest
