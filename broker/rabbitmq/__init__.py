"""The RabbitMQ carrier (protocol 5.8): links through a broker that is not trusted."""
