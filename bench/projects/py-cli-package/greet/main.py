import click


@click.command()
@click.argument("name", default="world")
def main(name):
    """Greets NAME."""
    click.echo(f"hello {name}")
