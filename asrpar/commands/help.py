"""``asrpar help``: what there is, and what can be set."""

import click


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND | settings [SECTION] [WORD]...]")
@click.option("--markdown", is_flag=True, help="With settings: print all as the page docs/settings.md.")
@click.pass_context
def command(context: click.Context, words: tuple[str, ...], markdown: bool) -> None:
    """Print the help of asrpar, or of a COMMAND, or every setting with its default and meaning.

    After settings: a SECTION (features, lang, graph, train, decode, cluster, study, synthesize, launch or corpora) and
    words narrow what is printed down to the settings and choices in whose names they are, as in `asrpar help settings
    bmuf`.
    """
    from asrpar import settings

    if markdown and words != ("settings",):
        raise click.UsageError("--markdown prints all settings: give `settings` before it, and no SECTION or WORD")
    if markdown:
        click.echo(settings.page(), nl=False)
    elif words[:1] == ("settings",):
        click.echo("\n\n".join(settings.listed(words[1:])))
    else:
        group = context.parent.command
        # The same messages as for a command that is run.
        name, found, _ = group.resolve_command(context.parent, list(words)) if words else (None, group, [])
        with click.Context(found, info_name=name, parent=context.parent) if words else context.parent as inner:
            click.echo(found.get_help(inner))
